"""Origins of pages: listed and foreign ones."""

import re

FOREIGN = [
    *("", "null", "*", "https://", "https://*", "file://", "about:blank"),
    # another scheme, another port
    *("http://app.example.com", "http://a.example.app", "wss://app.example.com"),
    *("https://app.example.com:8443", "https://a.example.app:8443", "https://app.example.com:"),
    *("https://app.example.com:443", "https://a.example.app:443", "https://a.example.app:"),
    *("http://127.0.0.1", "http://127.0.0.1:12345", "http://127.0.0.2:1234", "http://[::1]:1234"),
    *("http://localhost:1234", "http://0177.0.0.1:1234", "http://2130706433:1234"),
    *("https://a.pages.example.org", "https://a.pages.example.org:84430", "http://[::1]:80"),
    # more before it, more after it
    *("https://evil-example.app", "https://evilexample.app", "https://evil.com/.example.app"),
    *("https://a.example.app.evil.com", "https://app.example.com.evil.com", "https://example.app"),
    *("https://a.example.appx", "https://a.example.app/", "https://a.example.app?", "xhttps://a.b"),
    *("https://evil.com#.example.app", "https://evil.com?.example.app", "https://evil.com\\.example.app"),
    *("https://a.b.example.app", "https://.example.app", "https://-a.example.app"),
    *("https://a-.example.app", f"https://{'a' * 64}.example.app", "https://*.example.app"),
    *("https://a_b.example.app", "https://a%2eb.example.app", "https://evilapp.example.com"),
    *("https://a.exampleXapp", "https://aXexample.app", "https://appXexample.com"),
    # spellings no browser sends
    *("https://APP.example.com", "https://app.EXAMPLE.com", "HTTPS://app.example.com"),
    *("https://A.example.app", "https://app.example.com.", "https://a.example.app."),
    *(" https://app.example.com", "https://app.example.com ", "https://app.example.com\n"),
    *("https://a.example.app\n", "https://a\n.example.app", "https://a.example.app\0"),
    *("https://a.example.app\r\nX: y", "https://a.example.app, https://evil.com"),
    *("https://evil.com https://a.example.app", "https://app.example.com,null"),
    # from another origin
    *("https://user@app.example.com", "https://app.example.com@evil.com", "https://u:p@a.example.app"),
    *("https://a.example.app@evil.com", "https://evil.com@a.example.app", "https://@a.example.app"),
    # letters that look alike or fold to the listed ones
    *("https://bücher.example", "https://\u0430pp.example.com", "https://app.ex\u212ample.com"),
    *("https://\uff41pp.example.com", "https://a.example。app", "https://\u017f.example.app"),
    *("https://ä.example.app", "https://\u0661.example.app", "https://a.example.app\u200b"),
]  # fmt: skip

LISTED = ("https://app.example.com", "https://a.example.app", "http://127.0.0.1:1234")
CORS = "https://app.example.com:443, https://*.example.app, http://127.0.0.1:1234"
SENDABLE = [origin for origin in FOREIGN if re.fullmatch(r"[\x21-\x7e]*", origin)]
