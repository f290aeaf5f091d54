//! What travels beside a statement: documents that it names by digest.

use ledgerline_proof::hash::{Hash, sha256};
use ledgerline_proof::statement::Statement;
use ledgerline_proof::submission::{Attachment, MAX_ATTACHMENT_BYTES, MAX_ATTACHMENTS};
use ledgerline_secret_scan::check_attachment;

use crate::EventError;

/// Every attachment must be what its digest says, and named by the statement.
///
/// # Errors
/// The first that is not, or holds what looks like a secret.
pub fn check_attachments<'a>(
    statement: &Statement<'_>,
    attachments: impl ExactSizeIterator<Item = Attachment<'a>>,
) -> Result<(), EventError> {
    if attachments.len() > MAX_ATTACHMENTS {
        let detail = format!("an event has at most {MAX_ATTACHMENTS} attachments");
        return Err(EventError::new("too_many_items", detail));
    }
    if attachments.len() == 0 {
        return Ok(());
    }
    let snapshot = statement.policy_change.as_ref().and_then(|change| change.snapshot);
    let named: Vec<Hash> = snapshot
        .into_iter()
        .chain(statement.policies.iter().filter_map(|one| one.digest))
        .collect();
    for attachment in attachments {
        if attachment.data.len() > MAX_ATTACHMENT_BYTES || attachment.media_type.len() > 256 {
            let detail = "an attachment has at most 1 MiB and a media type of 256 bytes".into();
            return Err(EventError::new("attachment_too_large", detail));
        }
        if sha256(attachment.data) != attachment.digest {
            let detail = "an attachment does not have the digest it claims".into();
            return Err(EventError::new("attachment_mismatch", detail));
        }
        if !named.contains(&attachment.digest) {
            let detail = "an attachment is not named by policy_change.snapshot or policies.digest";
            return Err(EventError::new("attachment_unreferenced", detail.into()));
        }
        check_attachment(attachment.media_type, attachment.data)?;
    }
    Ok(())
}
