"""An authority of its own, and a certificate of it for this machine: certificates.py FOLDER makes ca.pem, server.pem and server.key."""
import datetime, ipaddress, os, sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

now = datetime.datetime.now(datetime.timezone.utc)


def certificate(name, key, issuer, issuer_key, extensions):
    named = lambda text: x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])
    builder = x509.CertificateBuilder().subject_name(named(name)).issuer_name(named(issuer)).public_key(key.public_key())
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - datetime.timedelta(days=1)).not_valid_after(now + datetime.timedelta(days=30))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(issuer_key, hashes.SHA256())


def write(name, content):
    with open(os.path.join(sys.argv[1], name), "wb") as file:
        file.write(content)


authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
authority = certificate("test authority", authority_key, "test authority", authority_key, [x509.BasicConstraints(ca=True, path_length=0)])
names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
server = certificate("test server", key, "test authority", authority_key, [names, x509.BasicConstraints(ca=False, path_length=None)])
pem = serialization.Encoding.PEM
write("ca.pem", authority.public_bytes(pem))
write("server.pem", server.public_bytes(pem))
write("server.key", key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
