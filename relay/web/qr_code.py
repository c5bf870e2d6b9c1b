"""A link as a picture for the camera of a phone."""

import segno


def qr_image(text: str) -> str:
    """Its QR code as the address of an image: dark on light with its quiet zone, in any theme."""
    code = segno.make(text, micro=False)
    return code.svg_data_uri(border=4, dark="#000", light="#fff", omitsize=True, nl=False)
