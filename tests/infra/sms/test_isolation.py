"""Nothing but the endpoint is contacted, nothing is taken from the environment, and TLS is verified."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from datingtoday.infra.sms.provider import SmsFailed, SmsFailureKind, SmsProvider
from tests.infra.sms.conftest import CODE, PHONE, Contacts
from tests.infra.sms.vendors import Aliyun, Tencent, Vendor
from tests.stand_ins.http_server import Answer, HttpStandIn, Received


class Trap(HttpStandIn):
    """Server at which a stray request would end up; it answers as either vendor does when all is well."""

    def answer(self, request: Received) -> Answer:
        status = {"Code": "Ok", "SerialNo": "trap"}
        return Answer.of_json(
            200, {"Code": "OK", "BizId": "trap", "Response": {"SendStatusSet": [status], "RequestId": "trap"}}
        )


@pytest.fixture
def trap(contacts: Contacts) -> Iterator[Trap]:
    with Trap() as found:
        # Allowed, so that a stray request would be seen to succeed and not be mistaken for a network error.
        contacts.allowed.add(found.port)
        yield found
        assert found.requests == []


def send(provider: SmsProvider) -> None:
    provider.send_code(PHONE, CODE, purpose="login", ttl_s=300)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(vendor: Vendor, trap: Trap, status: int) -> None:
    vendor.stand_in.misbehave = Answer(status, b"{}", {"Location": trap.url + "/", "Set-Cookie": "a=b"})
    with pytest.raises(SmsFailed) as caught:
        send(vendor.provider())
    assert (caught.value.reason, caught.value.kind) == ("redirect", SmsFailureKind.SETTINGS)
    assert len(vendor.stand_in.requests) == 1


def test_proxies_of_the_environment_are_not_used(
    vendor: Vendor, trap: Trap, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, trap.url)
    send(vendor.provider())
    assert len(vendor.sent()) == 1


def test_netrc_does_not_replace_the_signature(
    vendor: Vendor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    send(vendor.provider())
    assert len(vendor.sent()) == 1


def test_cookies_are_not_kept(vendor: Vendor) -> None:
    provider = vendor.provider()
    vendor.stand_in.misbehave = Answer(500, b"", {"Set-Cookie": "a=b; Path=/"})
    with pytest.raises(SmsFailed):
        send(provider)
    vendor.stand_in.misbehave = None
    send(provider)
    assert "cookie" not in vendor.stand_in.requests[-1].headers


_CHILD = """
import json, logging, socket, sys
logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
before = socket.socket.connect
contacted = set()
def connect(self, address):
    contacted.add(str(address))
    return before(self, address)
socket.socket.connect = connect
from datingtoday.infra.config.providers import SmsSection
from datingtoday.infra.sms.make import make_sms_provider
from datingtoday.infra.sms.provider import SmsFailed
given = json.loads(sys.stdin.read())
provider = make_sms_provider(SmsSection(**given["settings"]))
for _ in range(2):
    try:
        provider.send_code(given["phone"], given["code"], purpose="login", ttl_s=300)
    except SmsFailed as error:
        sys.exit(f"failed: {error}")
print(json.dumps(sorted(contacted)))
"""


def test_a_process_of_its_own_with_a_hostile_environment(vendor: Vendor, trap: Trap, tmp_path: Path) -> None:
    """Credentials, proxies and debugging by the environment are read when an SDK is imported: a new process."""
    metadata = f"{trap.url}/credentials"
    hostile = {
        "ALIBABA_CLOUD_CREDENTIALS_URI": metadata,
        "ALIBABA_CLOUD_ACCESS_KEY_ID": "LTAIother",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET": "other",
        "ALIBABA_CLOUD_SECURITY_TOKEN": "other",
        "ALIBABA_CLOUD_ECS_METADATA": "role",
        "ALIBABA_CLOUD_ROLE_ARN": "acs:ram::1:role/other",
        "TENCENTCLOUD_SECRET_ID": "AKIDother",
        "TENCENTCLOUD_SECRET_KEY": "other",
        "TENCENTCLOUD_TOKEN": "other",
        "HTTP_PROXY": trap.url,
        "HTTPS_PROXY": trap.url,
        "ALL_PROXY": trap.url,
        "DEBUG": "sdk",
        "HOME": str(tmp_path),
    }
    # Time for two imports of an SDK on a busy machine is not what is tested here.
    settings = vendor.settings(timeout_s=20).model_dump()
    result = subprocess.run(
        [sys.executable, "-c", _CHILD],
        input=json.dumps({"settings": settings, "phone": PHONE, "code": CODE}),
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(filter(None, sys.path))} | hostile,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert len(vendor.sent()) == 2
    *structured, contacted = result.stdout.splitlines()
    assert json.loads(contacted) == [str(("127.0.0.1", vendor.stand_in.port))]
    assert sum("sms_sent" in line for line in structured) == 2
    # urllib3's own lines are there, so the check below has something to look at.
    assert "urllib3" in result.stderr
    for sensitive in (PHONE[1:], PHONE[3:], CODE, *vendor.secrets, "Authorization"):
        assert sensitive not in result.stdout + result.stderr


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for 127.0.0.1 with its key, in one PEM file; its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "stand-in.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return path


@pytest.mark.parametrize("kind", [Aliyun, Tencent])
def test_https_with_a_certificate_that_is_trusted_or_not(
    kind: type[Aliyun] | type[Tencent],
    certificate: Path,
    contacts: Contacts,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    vendor = kind(tls)
    contacts.allowed.add(vendor.stand_in.port)
    try:
        with pytest.raises(SmsFailed) as caught:
            send(vendor.provider(timeout_s=5))
        assert (caught.value.reason, caught.value.maybe_sent) == ("tls", False)
        assert vendor.stand_in.requests == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send(vendor.provider(timeout_s=5))
        assert len(vendor.sent()) == 1
    finally:
        vendor.stand_in.close()
