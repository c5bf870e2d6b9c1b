"""A loop with a progress bar: in the terminal by tqdm, and on Relay's page.

pip install https://relay.example.com/install/relay_streams-0.1.0-py3-none-any.whl tqdm
python with_tqdm.py
"""

import time

import relay
from relay.client.tqdm import tqdm

EPOCHS = 3

with relay.task("Train the model") as task:
    loss = 1.0
    for epoch in range(1, EPOCHS + 1):
        for _batch in tqdm(range(50), task=task, desc=f"epoch {epoch}"):
            time.sleep(0.002)  # your work
            loss *= 0.99
        task.log(f"epoch {epoch}: loss {loss:.3f}")
