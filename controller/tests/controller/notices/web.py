"""A web server that writes down what it gets: web.py FOLDER [CERTIFICATE KEY]. Its port stands in FOLDER/port; FOLDER/mode says how it behaves, for each request anew."""
import http.server, json, os, ssl, sys, threading, time

folder = sys.argv[1]
lock = threading.Lock()


def mode():
    try:
        with open(os.path.join(folder, "mode")) as file:
            return file.read().strip()
    except FileNotFoundError:
        return "take"


class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        now = mode()
        with lock, open(os.path.join(folder, "requests"), "a") as log:
            entry = {"mode": now, "method": self.command, "path": self.path, "headers": dict(self.headers), "body": body.decode()}
            log.write(json.dumps(entry) + "\n")
        if now == "hang":
            time.sleep(3600)
        status, text = {"refuse": (503, "later"), "object": (200, '{"errcode":93000,"errmsg":"no"}')}.get(now, (200, '{"errcode":0}'))
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True)
with open(os.path.join(folder, "port.new"), "w") as file:
    file.write(str(server.server_address[1]))
os.rename(os.path.join(folder, "port.new"), os.path.join(folder, "port"))
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
