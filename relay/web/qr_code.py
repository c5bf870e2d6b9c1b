"""QR codes of links."""


def qr_image(text: str) -> str:
    """The text's QR code as a data URI: dark on light with a quiet zone, in any theme."""
    import segno  # by the first caller: most servers never make one

    code = segno.make(text, micro=False)
    return code.svg_data_uri(border=4, dark="#000", light="#fff", omitsize=True, nl=False)
