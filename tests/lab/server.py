"""An HTTPS server for one file: server.py FILE CERT KEY, prints its port.

/whole     all of it, or the range that is asked for
/broken    the same, but every answer ends after 300 bytes
/changing  the same, but it is another version each time; the third is sent to its end
/endless   more and more
/slow      all of it, in pieces over three seconds
/moved     leads to /whole
"""
import http.server
import ssl
import sys
import time

CONTENT = open(sys.argv[1], "rb").read()


class Handler(http.server.BaseHTTPRequestHandler):
    versions = 0

    def do_GET(self):
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
            return
        if self.path == "/endless":
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(bytes(1 << 20))
        if self.path == "/slow":
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            size = -(-len(CONTENT) // 30)
            for start in range(0, len(CONTENT), size):
                self.wfile.write(CONTENT[start:start + size])
                time.sleep(0.1)
            return
        if self.path not in ("/whole", "/broken", "/changing"):
            self.send_error(404)
            return
        Handler.versions += self.path == "/changing"
        tag = f'"{Handler.versions}"' if self.path == "/changing" else '"one"'
        asked = self.headers.get("Range")
        start = 0
        if asked and self.headers.get("If-Range") in (None, tag):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        part = CONTENT[start:]
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}")
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        print("served", self.path, start, file=sys.stderr, flush=True)
        whole = self.path == "/whole" or (self.path == "/changing" and Handler.versions >= 3)
        self.wfile.write(part if whole else part[:300])
        self.close_connection = True

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server.socket = context.wrap_socket(server.socket, server_side=True)
print(server.server_port, flush=True)
server.serve_forever()
