"""Where the measurements of bench itself happen: the machine, its cores, certificates, and the servers."""

import datetime
import ipaddress
import os
import platform
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import simulate

HERE = Path(__file__).parent
MODEL_ID = "us.anthropic.claude-sonnet-5-5"
LONGEST_S = 3600
"""A server in C ends by itself after so many seconds."""


@dataclass(frozen=True)
class Place:
    """Where a run happens: its folder, the cores of server and client, the certificates, and the C yardstick if any.

    One process of the client has `client_core`; several share all cores but the server's.
    """

    folder: Path
    server_core: int
    client_core: int
    client_cores: frozenset[int]
    authority: Path
    certificate: Path
    key: Path
    compiled: Path | None
    compiled_server: Path | None


def prepared(folder: Path) -> Place:
    """A place in this folder: certificates made, and the programs in C compiled where there is a compiler."""
    cores = sorted(os.sched_getaffinity(0))
    compiler = next((found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None)
    programs = [None if compiler is None else folder / name for name in ("yardstick", "yardstick_server")]
    for program in programs:
        if compiler and program:
            subprocess.run([compiler, "-O2", "-o", str(program), str(HERE / f"{program.name}.c")], check=True)
    return Place(folder, cores[0], cores[-1], frozenset(cores[1:] or cores), *certificates(folder), *programs)


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """A CA, and a certificate of it for 127.0.0.1 with its key: made now, good for a day."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    today, day = datetime.datetime.now(datetime.UTC), datetime.timedelta(days=1)

    def name(words: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, words)])

    def signed(subject: str, key, signer, extension: x509.ExtensionType) -> bytes:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
        builder = x509.CertificateBuilder(name("selfbench CA"), name(subject), key.public_key(), x509.random_serial_number(),
                                          today - day, today + day)  # fmt: skip
        builder = builder.add_extension(x509.BasicConstraints(ca=key is signer, path_length=None), critical=True)
        builder = builder.add_extension(identifier, critical=False).add_extension(extension, critical=False)
        return builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    authority, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    paths = folder / "ca.pem", folder / "server.pem", folder / "server.key"
    identity = x509.SubjectKeyIdentifier.from_public_key(authority.public_key())
    paths[0].write_bytes(signed("selfbench CA", authority, authority, identity))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    paths[1].write_bytes(signed("127.0.0.1", own, authority, address))
    paths[2].write_bytes(own.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ))  # fmt: skip
    return paths


def machine() -> str:
    """The processor, its cores, the kernel, the clock source and the Python, in a line."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    source = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text().strip()
    return f"{model}, {os.cpu_count()} cores, Linux {platform.release()}, clock source {source}, Python {platform.python_version()}"


def commit() -> str:
    """The short hash of the checkout; `?` where there is none."""
    found = subprocess.run(
        ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "?"


@contextmanager
def look_alike(door: str, profile: dict[str, object], folder: Path, place: Place) -> Iterator[dict[str, int]]:
    """The look-alike of a door, plain and over TLS, and one that takes a bare client; its truth is written at the end."""
    target = {"door": door, "model_id": MODEL_ID, "profile": profile}
    tls = {"tls": {"cert": str(place.certificate), "key": str(place.key)}}
    config = {"seed": 1, "truth": str(folder / "truth.parquet"), "targets": [
        {**target, "id": "plain"}, {**target, **tls, "id": "tls"},
        {**target, "id": "yardstick", "credentials": plain_credentials(door)},
    ]}  # fmt: skip
    with simulate.launch(config) as running:
        os.sched_setaffinity(running.pid, {place.server_core})
        yield running.ports
        running.stop()


@contextmanager
def compiled_server(door: str, profile: dict[str, object], folder: Path, place: Place) -> Iterator[dict[str, int]]:
    """The server in C, which gives every request the reply that the look-alike gave to one."""
    with look_alike(door, profile, folder, place) as ports, socket.create_connection(
        ("127.0.0.1", ports["yardstick"])
    ) as sock:  # fmt: skip
        sock.sendall((folder / "request").read_bytes())
        reply = b""
        while not reply.endswith(b"0\r\n\r\n"):
            reply += sock.recv(1 << 16)
    (folder / "reply").write_bytes(reply)
    command = [str(place.compiled_server), str(folder / "reply"), str(LONGEST_S)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        os.sched_setaffinity(running.pid, {place.server_core})
        port = int(running.stdout.readline())
        yield {"plain": port, "yardstick": port}
        running.stdin.close()


def plain_credentials(door: str) -> dict[str, str]:
    """Such that a bare client can present them without signing."""
    return {"region": "us-east-1", "token": "k"} if door == "bedrock" else {"api_key": "k"}
