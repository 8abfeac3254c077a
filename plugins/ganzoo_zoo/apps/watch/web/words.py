"""Words for a class: what options are called on the page, and what they are."""

from __future__ import annotations

WORDS = {
    "arch.z_dim": (
        "Length of the noise",
        "How many random numbers the generator gets for each sample. Together they are the latent.",
    ),
    "arch.prior": (
        "Kind of noise",
        "How these numbers are drawn: normal piles them up around 0, uniform spreads them evenly.",
    ),
    "arch.hidden": (
        "Generator’s layers",
        "A layer is a row of units; each unit adds up what it is given. With more of them it can "
        "draw finer shapes, and learns more slowly.",
    ),
    "arch.discriminator_hidden": (
        "Discriminator’s layers",
        "Without layers of its own it has as many as the generator, in reverse order.",
    ),
    "arch.base_channels": (
        "Channels",
        "How many pictures of features each layer holds. More see more, and take longer.",
    ),
    "loss.gp_weight": (
        "Weight of the gradient penalty",
        "How strongly the critic is kept from becoming steep.",
    ),
    "loss.clip": ("Clip weights at", "The critic’s weights stay between minus and plus this."),
    "loss.gamma": (
        "Weight of the penalty",
        "How strongly the discriminator is kept flat at real and generated samples.",
    ),
    "loss.unrolled_steps": (
        "Steps ahead",
        "How many answers of the discriminator the generator foresees.",
    ),
    "loss.base": ("Loss to unroll", "The loss that is played some steps ahead."),
    "data.count": ("Modes", "A mode is a place where real points gather."),
    "data.side": ("Modes along a side", "A mode is a place where real points gather."),
    "data.std": ("Spread", "How far real points lie from their place: their standard deviation."),
    "data.width": ("Width of the pen", "In the square from -1 to 1."),
    "data.strokes": ("Your drawing", "The strokes as text: what you draw is written here."),
    "data.image_size": ("Size of the images", "Height and width in pixels."),
    "train.steps": (
        "Steps",
        "In one step the discriminator learns once or more, then the generator learns once.",
    ),
    "train.generator_lr": (
        "Generator’s learning rate",
        "How far its weights move in one update. Too little is slow, too much is wild.",
    ),
    "train.discriminator_lr": ("Discriminator’s learning rate", "The same for the discriminator."),
    "train.optimizer": ("Optimiser", "The rule by which the gradients move the weights."),
    "train.batch_size": (
        "Batch size",
        "How many samples are looked at in one update. More is steadier, and slower.",
    ),
    "train.n_critic": (
        "Critic steps",
        "How often the discriminator (also called the critic) learns before each time that the "
        "generator learns.",
    ),
    "train.seed": (
        "Seed",
        "The number from which all chance is made: the same seed, the same run.",
    ),
}
"""Words for a class, by the full names of options: what it is called, and what it is. These options
stand in front; others have their own descriptions, and stand behind."""
