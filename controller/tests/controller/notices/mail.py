"""A server of mail (aiosmtpd) that writes down what it gets: mail.py FOLDER CERTIFICATE KEY. It wants STARTTLS and the login `strongroom`, `geheim`."""
import asyncio, email, email.policy, json, os, ssl, sys

from aiosmtpd.smtp import SMTP, AuthResult

folder, certificate, key = sys.argv[1:]


class Handler:
    async def handle_DATA(self, server, session, envelope):
        letter = email.message_from_bytes(envelope.content, policy=email.policy.default)
        with open(os.path.join(folder, "requests"), "a") as log:
            entry = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "encrypted": session.ssl is not None, "headers": dict(letter.items()), "body": letter.get_content()}
            log.write(json.dumps(entry) + "\n")
        return "250 taken"


def authenticate(server, session, envelope, mechanism, data):
    return AuthResult(success=(data.login, data.password) == (b"strongroom", b"geheim"))


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()

    def session():
        return SMTP(Handler(), tls_context=context, require_starttls=True, authenticator=authenticate, auth_required=True, enable_SMTPUTF8=True)

    server = await loop.create_server(session, "127.0.0.1", 0)
    with open(os.path.join(folder, "port.new"), "w") as file:
        file.write(str(server.sockets[0].getsockname()[1]))
    os.rename(os.path.join(folder, "port.new"), os.path.join(folder, "port"))
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
