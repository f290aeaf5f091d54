"""Authlib and joserfc against a ledger: `make` writes an issuer's keys and signs tokens with them,
`drive` introspects and revokes. What to do comes as JSON on standard input, what happened goes as
JSON to standard output; the test that runs this judges it."""

import json
import sys

import requests
from authlib.integrations.requests_client import OAuth2Session
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

JWT = "application/token-introspection+jwt"


def make(asked):
    rsa = RSAKey.generate_key(2048, {"kid": "rsa", "use": "sig"})
    keys = {
        "RS256": rsa,
        "PS256": rsa,
        "ES256": ECKey.generate_key("P-256", {"kid": "ec", "use": "sig"}),
        "ES384": ECKey.generate_key("P-384", {"kid": "ec3", "use": "sig"}),
        "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed", "use": "sig"}),
    }
    published = [rsa] + [key for alg, key in keys.items() if key is not rsa]
    with open(asked["jwks_file"], "w") as file:
        json.dump({"keys": [key.as_dict(private=False) for key in published]}, file)

    def sign(alg, key):
        claims = {"iss": asked["iss"], "jti": "jti-" + alg, "sub": "alice", "exp": 3976214400}
        header = {"alg": alg, "kid": key.kid, "typ": "at+jwt"}
        return jwt.encode(header, claims, key, algorithms=[alg])

    tokens = {alg: sign(alg, key) for alg, key in keys.items()}
    return {"tokens": tokens, "forged": sign("RS256", RSAKey.generate_key(2048, {"kid": "rsa"}))}


def drive(asked):
    url, tokens = asked["url"], asked["tokens"]

    def session(secret):
        how = "client_secret_basic"
        return OAuth2Session(asked["client_id"], secret, token_endpoint_auth_method=how)

    own = session(asked["secret"])

    def introspect(client, token, hint=None):
        answer = client.introspect_token(url + "/oauth2/introspect", token, hint)
        return {"status": answer.status_code, "body": answer.json()}

    def revoke(token, hint=None):
        answer = own.revoke_token(url + "/oauth2/revoke", token, hint)
        return {"status": answer.status_code, "body": answer.text}

    def signed(token):
        answer = requests.post(
            url + "/oauth2/introspect",
            data={"token": token},
            auth=(asked["client_id"], asked["secret"]),
            headers={"Accept": JWT},
        )
        keys = KeySet.import_key_set(requests.get(url + "/oauth2/jwks").json())
        opened = jwt.decode(answer.text, keys, algorithms=["EdDSA"])
        return {"typ": opened.header["typ"], "claims": opened.claims}

    said = {
        "jwts": {alg: introspect(own, token) for alg, token in tokens["jwts"].items()},
        "forged": introspect(own, tokens["forged"]),
        "access": introspect(own, tokens["access"], "refresh_token"),
        "unknown": introspect(own, tokens["unknown"]),
        "stranger": introspect(session("wrong"), tokens["access"]),
        "signed": signed(tokens["access"]),
        "other": revoke(tokens["other"]),
        "nothing": revoke(tokens["unknown"]),
        "revoke": revoke(tokens["refresh"], "refresh_token"),
        "revoke_jwt": revoke(tokens["jwts"]["RS256"]),
    }
    said["after"] = introspect(own, tokens["access"])
    said["after_jwt"] = introspect(own, tokens["jwts"]["RS256"])
    said["after_signed"] = signed(tokens["access"])
    return said


if __name__ == "__main__":
    work = {"make": make, "drive": drive}[sys.argv[1]]
    json.dump(work(json.load(sys.stdin)), sys.stdout)
