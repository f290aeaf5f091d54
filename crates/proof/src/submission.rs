//! What a producer hands in, and the body that carries many of it.
//!
//! ```text
//! submission = C3 01 ‖ fingerprint(Submission) ‖ body
//! batch body = (u32 big-endian length ‖ submission)*         application/vnd.ledgerline.batch
//! ```
//!
//! Promises: [`Batch`] yields each submission of a body in order, with its offset, or the first
//! thing wrong with the framing. A frame whose record is malformed does not lose the frames behind
//! it.
//!
//! Assumes: the caller bounded the body. Nothing is allocated from a length that was only claimed.
//!
//! Refuses: empty frames, frames beyond [`MAX_SUBMISSION_BYTES`], bytes left over behind the last
//! frame, more than [`MAX_BATCH_SUBMISSIONS`] frames.

use crate::entry::Signature;
use crate::hash::{Hash, sha256};
use crate::schema::{Kind, decode_object, encode_object};
use crate::wire::{DecodeError, wire_record};

/// Longest batch body in bytes, the interface's body limit.
pub const MAX_BATCH_BYTES: usize = 16 << 20;
/// Most submissions of one batch body.
pub const MAX_BATCH_SUBMISSIONS: usize = 65_536;
/// Longest attachment in bytes.
pub const MAX_ATTACHMENT_BYTES: usize = 1 << 20;
/// Longest submission in bytes: a statement with its personal records and several attachments.
pub const MAX_SUBMISSION_BYTES: usize = 4 << 20;
/// Most attachments of one submission.
pub const MAX_ATTACHMENTS: usize = 16;

wire_record! {
    /// A document that a statement names by its digest, such as a policy snapshot.
    pub struct Attachment<'a> {
        /// SHA-256 of `data`.
        pub digest: Hash,
        /// Media type of `data`.
        pub media_type: &'a str,
        /// The document, at most 1 MiB.
        pub data: &'a [u8],
    }
}

wire_record! {
    /// One statement with all that travels beside it.
    pub struct Submission<'a> {
        /// The statement, single-object encoded, as signed.
        pub statement: &'a [u8],
        /// The personal records, single-object encoded, in the order of the statement's
        /// commitments.
        pub personal: Vec<&'a [u8]>,
        /// The producer's signature over the statement.
        pub signature: Option<Signature<'a>>,
        /// Documents that the statement names by digest.
        pub attachments: Vec<Attachment<'a>>,
    }
}

/// What is wrong with a batch body or a submission in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubmissionError {
    /// The body ends inside a frame's length or content.
    #[error("the batch ends inside the frame at offset {at}")]
    Truncated {
        /// Offset of the frame.
        at: usize,
    },
    /// A frame is empty or too long.
    #[error(
        "the frame at offset {at} claims {length} bytes, allowed are 1 to {MAX_SUBMISSION_BYTES}"
    )]
    FrameLength {
        /// Offset of the frame.
        at: usize,
        /// What it claims.
        length: u32,
    },
    /// The body is longer than a body may be.
    #[error("the batch is longer than {MAX_BATCH_BYTES} bytes")]
    TooLong,
    /// Too many frames.
    #[error("the batch has more than {MAX_BATCH_SUBMISSIONS} submissions")]
    TooMany,
    /// The record in the frame is not a canonical submission.
    #[error("the submission is malformed: {0}")]
    Record(#[from] DecodeError),
    /// More attachments than one submission may have.
    #[error("a submission has at most {MAX_ATTACHMENTS} attachments")]
    TooManyAttachments,
    /// An attachment is too long.
    #[error("attachment {position} is longer than {MAX_ATTACHMENT_BYTES} bytes")]
    LongAttachment {
        /// Which attachment, from 0.
        position: usize,
    },
    /// An attachment is not what its digest says.
    #[error("attachment {position} does not have the digest it claims")]
    AttachmentDigest {
        /// Which attachment, from 0.
        position: usize,
    },
}

impl SubmissionError {
    /// The stable code that interfaces report.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "truncated",
            Self::FrameLength { .. } => "bad_frame",
            Self::TooLong => "body_too_large",
            Self::TooMany | Self::TooManyAttachments => "too_many_items",
            Self::Record(error) => error.code(),
            Self::LongAttachment { .. } => "attachment_too_large",
            Self::AttachmentDigest { .. } => "attachment_mismatch",
        }
    }
}

impl<'a> Submission<'a> {
    /// Reads one submission and checks its attachments against their digests and limits.
    ///
    /// # Errors
    /// The first [`SubmissionError`].
    pub fn decode(bytes: &'a [u8]) -> Result<Self, SubmissionError> {
        let submission: Self = decode_object(Kind::Submission, bytes)?;
        if submission.attachments.len() > MAX_ATTACHMENTS {
            return Err(SubmissionError::TooManyAttachments);
        }
        for (position, attachment) in submission.attachments.iter().enumerate() {
            if attachment.data.len() > MAX_ATTACHMENT_BYTES {
                return Err(SubmissionError::LongAttachment { position });
            }
            if sha256(attachment.data) != attachment.digest {
                return Err(SubmissionError::AttachmentDigest { position });
            }
        }
        Ok(submission)
    }

    /// The single-object encoding.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode_object(Kind::Submission, self)
    }
}

/// Appends one frame of a batch body.
///
/// # Errors
/// `FrameLength` when the submission is empty or too long to be read back; nothing is appended
/// then.
pub fn put_frame(out: &mut Vec<u8>, submission: &[u8]) -> Result<(), SubmissionError> {
    let length = u32::try_from(submission.len()).unwrap_or(u32::MAX);
    if submission.is_empty() || submission.len() > MAX_SUBMISSION_BYTES {
        return Err(SubmissionError::FrameLength { at: out.len(), length });
    }
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(submission);
    Ok(())
}

/// The frames of a batch body, in order. Yields the bytes of each submission, still encoded, so
/// that one malformed record does not lose the others. After an error the iterator ends: behind a
/// broken frame nothing can be found again.
#[derive(Debug, Clone)]
pub struct Batch<'a> {
    body: &'a [u8],
    at: usize,
    frames: usize,
    failed: bool,
}

impl<'a> Batch<'a> {
    /// Starts at the first frame.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self { body, at: 0, frames: 0, failed: false }
    }

    /// Offset of the next frame.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.at
    }

    fn take_frame(&mut self) -> Result<&'a [u8], SubmissionError> {
        let at = self.at;
        if self.body.len() > MAX_BATCH_BYTES {
            return Err(SubmissionError::TooLong);
        }
        if self.frames == MAX_BATCH_SUBMISSIONS {
            return Err(SubmissionError::TooMany);
        }
        let rest = &self.body[at..];
        let Some((length, rest)) = rest.split_first_chunk() else {
            return Err(SubmissionError::Truncated { at });
        };
        let claimed = u32::from_be_bytes(*length);
        let length = usize::try_from(claimed).unwrap_or(usize::MAX);
        if !(1..=MAX_SUBMISSION_BYTES).contains(&length) {
            return Err(SubmissionError::FrameLength { at, length: claimed });
        }
        let frame = rest.get(..length).ok_or(SubmissionError::Truncated { at })?;
        self.at += 4 + length;
        self.frames += 1;
        Ok(frame)
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<&'a [u8], SubmissionError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed || self.at == self.body.len() {
            return None;
        }
        let frame = self.take_frame();
        self.failed = frame.is_err();
        Some(frame)
    }
}
