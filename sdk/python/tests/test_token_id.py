"""Token ids against the published vectors, and what they refuse."""

from __future__ import annotations

import json
import traceback
import unittest
from pathlib import Path

from ledgerline import Issuer, Ledgerline, TokenIdError, jti_token_id, token_id

ROOT = Path(__file__).resolve().parents[3]
VECTORS = json.loads((ROOT / "crates/proof/vectors/token_ids.json").read_text("utf-8"))
WHERE = {"region": VECTORS["region"], "issuer": VECTORS["issuer"]}


class TokenIds(unittest.TestCase):
    def test_a_token_has_the_published_id(self) -> None:
        self.assertGreater(len(VECTORS["presented"]), 30)
        for vector in VECTORS["presented"]:
            with self.subTest(vector["name"]):
                self.assertEqual(token_id(vector["token"], **WHERE), vector["id"])
                self.assertEqual(token_id(vector["token"].encode(), **WHERE), vector["id"])

    def test_a_token_that_is_altered_has_another_id(self) -> None:
        for vector in VECTORS["presented"]:
            with self.subTest(vector["name"]):
                altered = "x" + vector["token"]
                self.assertNotEqual(token_id(altered, **WHERE), vector["id"])

    def test_a_weak_token_is_refused(self) -> None:
        for weak in VECTORS["weak"]:
            with self.assertRaises(TokenIdError):
                token_id(weak, **WHERE)

    def test_a_jti_has_the_published_id(self) -> None:
        for vector in VECTORS["jti"]:
            with self.subTest(vector["name"]):
                self.assertEqual(jti_token_id(vector["jti"], **WHERE), vector["id"])

    def test_names_are_checked(self) -> None:
        for bad in ("", "EU", "e:u", "x" * 33, "eu\n"):
            with self.assertRaises(TokenIdError):
                token_id("a-token-that-is-long-enough", region=bad)
            with self.assertRaises(ValueError):
                Issuer(alias=bad)
        with self.assertRaises(ValueError):
            Issuer(jti_rule="guess")

    def test_no_error_and_none_of_its_frames_holds_the_token(self) -> None:
        for secret in ("sEcReT-value-of-a-tk", "sEcReT-value-of-a-token\ud800-and-more"):
            try:
                token_id(secret)
            except TokenIdError as error:
                lines = traceback.TracebackException.from_exception(error, capture_locals=True)
                # The outermost frame is this test's own.
                said = [f for f in lines.stack if not f.filename.endswith("test_token_id.py")]
                self.assertTrue(said)
                self.assertNotIn("sEcReT", "".join(str(frame.locals) for frame in said))
                self.assertNotIn("sEcReT", str(error))
            else:
                self.fail("no error")

    def test_the_rule_of_the_issuer_names_a_token(self) -> None:
        jwt = next(v for v in VECTORS["presented"] if v["name"] == "JWS")
        opaque = next(v for v in VECTORS["presented"] if v["name"] == "opaque")
        identity = Issuer("eu", "idp", "identity")
        bearer = Issuer("eu", "idp", "bearer")
        cases = [
            (identity, {}, jwt, True, "eu:idp:jti:4f0c"),
            (identity, {}, jwt, False, jwt["id"]),
            (identity, {}, opaque, True, opaque["id"]),
            (bearer, {}, jwt, True, jwt["id"]),
            (bearer, {"https://idp.test": identity}, jwt, True, "eu:idp:jti:4f0c"),
            (identity, {"https://other.test": bearer}, jwt, True, "eu:idp:jti:4f0c"),
        ]
        for issuer, issuers, vector, verified, expected in cases:
            with Ledgerline("s", issuer=issuer, issuers=issuers) as client:
                self.assertEqual(client.token_id(vector["token"], verified=verified), expected)


if __name__ == "__main__":
    unittest.main()
