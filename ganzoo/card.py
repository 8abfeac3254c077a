"""Stopgap."""


def card(
    config, rows=(), *, reference="path/to/this/folder", license=None, curve=None, base_model=None
):
    """Write the card."""
    packages = sorted(
        {f"{part.package} {part.version}" for part in (config.architecture, config.loss)}
    )
    shape = config.spec.size_in_words
    return f"""---
library_name: ganzoo
tags:
- ganzoo
- gan
- {config.architecture.name}
- {config.loss.name}
---
# {config.title}

![Samples of the averaged generator, with the same latents as during training](samples.png)

A generative adversarial network: samples of shape {shape}, trained for {config.step} generator
updates with batches of {config.train.batch_size} and seed {config.train.seed}. All its images
are synthetic.

```python
import ganzoo

model = ganzoo.load("{reference}")
images = model.sample(16, seed=0)  # floats (16, {", ".join(map(str, config.spec.shape))})
```

It needs {", ".join(packages)}. `config.json` holds every option; `model.safetensors` is the
moving average of the generator, `discriminator.safetensors` the discriminator it was trained against.
"""


def merged(new, old):
    """Stopgap."""
    return new, []
