"""The option --data-dir of the operator's commands."""

import click

data_dir_option = click.option(
    "--data-dir", metavar="FOLDER", help="Folder of the database and the keys [.relay]."
)
