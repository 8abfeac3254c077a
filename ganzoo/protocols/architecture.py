"""The protocol of an architecture: a generator and a discriminator for one kind of data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, ClassVar

from ganzoo.component import Component
from ganzoo.errors import InputError
from ganzoo.protocols.host_labels import labels_on_host, note_on_host, rearrange_labels
from ganzoo.protocols.latent_parts import LatentPart, split_latents

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ganzoo.protocols.dataset import DataSpec
    from ganzoo.protocols.latent_parts import Distribution
    from ganzoo.protocols.outputs import NetworkOutput, Terms
    from ganzoo.protocols.progress import Progress
    from ganzoo.protocols.recipe import Recipe
    from ganzoo.protocols.styles import Styles


@dataclass(frozen=True)
class GeneratorInput:
    """The input of a generator for a batch of N samples."""

    given: Tensor
    """Latents ``(N, z_dim)``, source images ``(N, C, H, W)`` of other classes, or the source of
    each sample ``(N, *data.source)``."""
    labels: Tensor | None = None
    """Class of each sample to generate ``(N,)``; None if the architecture is unconditional."""
    source_labels: Tensor | None = None
    """Class of each source image ``(N,)``; None unless they are images of other classes."""

    progress: Progress | None = None
    """How far the training is; None where a trained model draws."""

    def parts(self, size: int, device: torch.device) -> Iterator[GeneratorInput]:
        """Yield the batch in parts of at most ``size`` samples, on a device."""

        def take(labels: Tensor | None, start: int) -> Tensor | None:
            if labels is None:
                return None
            part = rearrange_labels(labels, itemgetter(slice(start, start + size)))
            moved = part.to(device)
            return part if moved is part else note_on_host(moved, labels_on_host(part))

        for start in range(0, len(self.given), size):
            yield replace(
                self,
                given=self.given[start : start + size].to(device),
                labels=take(self.labels, start),
                source_labels=take(self.source_labels, start),
            )

    def outputs(self, generator: Callable[..., NetworkOutput]) -> dict[str, Tensor]:
        """Pass the input through a generator, and return all its outputs by name.

        ``samples`` ``(N, *shape)`` are among them; the others are the architecture's
        ``generator_parts``.
        """
        found = generator(*((self.given,) if self.labels is None else (self.given, self.labels)))
        return dict(found) if isinstance(found, Mapping) else {"samples": found}

    def through(self, generator: Callable[..., NetworkOutput]) -> Tensor:
        """Pass the input through a generator and return its samples ``(N, *shape)``."""
        return self.outputs(generator)["samples"]


class Architecture(Component, ABC):
    """Base of architectures, which build a generator and a discriminator.

    One class serves every resolution: it builds the networks for a
    :class:`~ganzoo.protocols.dataset.DataSpec`, and knows no device, loss or trainer. An
    architecture that starts from noise has an option ``z_dim``, the length of a latent.

    A declaration of type ``... | property`` may depend on the options. Then assign a property:
    ``bounds_slope = property(lambda self: self.spectral_norm)``.
    """

    default_loss: ClassVar[str | None] = None
    """Name of the loss to train with if the user names none."""
    default_data: ClassVar[str | None] = None
    """Name of the dataset to train on if the user names none."""
    recipe: ClassVar[Recipe | None] = None
    """How its paper trains it, with the loss that it names or else with the default loss."""
    tuned_recipes: ClassVar[tuple[Recipe, ...] | property] = ()
    """How to train it well in a short time, for losses and kinds of data; the first that fits."""
    named_recipes: ClassVar[Mapping[str, Recipe]] = {}
    """Recipes by further names, such as the configurations of its paper: ``--recipe NAME``."""
    takes_images: ClassVar[bool | property] = False
    """Whether the generator translates images of other classes instead of starting from noise.

    Such an architecture is conditional: the generator's labels are the classes to translate to. Its
    training batches hold the same number of samples of each class.
    """
    takes_sources: ClassVar[bool | property] = False
    """Whether the generator makes each sample from a source of its own instead of from noise.

    The source ``(N, *data.source)`` belongs to the data, as in pairs of a photo and its outline, or
    is made from the sample itself by :meth:`make_source`. In training, the fakes are made from the
    sources of the reals, in the same order.
    """
    judges_source: ClassVar[bool | property] = False
    """Whether the discriminator sees the source too, as its last argument: that of the real and of
    the fake alike (Isola et al. 2017, arXiv:1611.07004, section 3.1)."""
    takes_any_size: ClassVar[bool | property] = False
    """Whether a trained generator takes sources of any height and width, as one without dense
    layers does. A sample is then larger than its source by whole factors, those of ``data.shape``
    to ``data.source``. People's pictures keep their sizes, and large ones are made in tiles."""
    bounds_slope: ClassVar[bool | property] = False
    """Whether the discriminator's layers bound its slope, as spectral normalisation does."""
    mixes_batch: ClassVar[bool | property] = False
    """Whether the discriminator mixes its batch on purpose, as minibatch standard deviation does
    (Karras et al. 2018, arXiv:1710.10196, section 3), also for losses and penalties that need each
    sample judged on its own. It is then built with ``independent_samples=False``."""
    generator_parts: ClassVar[tuple[str, ...] | property] = ()
    """Names of what the generator returns beside its samples, such as ``w``. It then returns a dict
    of tensors, with ``samples`` among them."""
    discriminator_parts: ClassVar[tuple[str, ...] | property] = ()
    """Names of what the discriminator returns beside its logits, such as ``features``. It then
    returns a dict of tensors, with ``logits`` among them."""
    judged_parts: ClassVar[tuple[str, ...] | property] = ()
    """Those ``generator_parts`` that the discriminator judges beside the samples, such as the same
    images at other resolutions. Its network then takes a dict of tensors, with ``samples`` among
    them, and :meth:`real_parts` makes those of reals."""
    extra_networks: ClassVar[tuple[str, ...] | property] = ()
    """Names of submodules of the generator or of the discriminator that are networks of their own,
    such as ``encoder``. Each trains with the network that holds it, and is saved and loaded with
    it. Losses and penalties find it as ``D.generator.encoder`` or ``D.network.encoder``."""
    copied_networks: ClassVar[tuple[str, ...] | property] = ()
    """Those ``extra_networks`` of the generator whose weights its average copies as they are."""
    depends_on_steps: ClassVar[bool | property] = False
    """Whether it reads ``progress.steps`` or ``share``: such a run cannot be resumed for more
    steps."""
    channels_last: ClassVar[bool | property] = True
    """Whether the networks run faster in channels-last memory format, as convolutions do.

    Declare False if most layers prefer contiguous channels, such as instance normalisation, or if
    batches are so small that the weights outweigh the activations.
    """

    @property
    def takes_latents(self) -> bool:
        """Whether the generator starts from noise, and so needs nothing but a seed."""
        return not (self.takes_images or self.takes_sources)

    @property
    def makes_sources(self) -> bool:
        """Whether sources are made from the samples themselves, by :meth:`make_source`.

        Override it if that depends on the options.
        """
        is_own = type(self).make_source is not Architecture.make_source
        return bool(self.takes_sources) and is_own

    @property
    def memory_format(self) -> torch.memory_format:
        """The memory format of image batches and of the networks' weights."""
        import torch

        return torch.channels_last if self.channels_last else torch.contiguous_format

    @abstractmethod
    def generator(self, data: DataSpec) -> nn.Module:
        """Build the network from latents ``(N, z_dim)`` to samples ``(N, *data.shape)``.

        Images must lie in ``[-1, 1]``. If the architecture is conditional on these data, the
        network takes int64 labels ``(N,)`` from 0 to ``data.classes - 1`` as a second argument.
        With ``takes_sources`` it takes sources ``(N, *data.source)`` in place of latents, images in
        ``[-1, 1]``.

        Raises:
            ganzoo.errors.InputError: the architecture cannot generate samples of this shape.
        """

    @abstractmethod
    def discriminator(self, data: DataSpec, *, independent_samples: bool = False) -> nn.Module:
        """Build the network from samples ``(N, *data.shape)`` to logits ``(N,)``.

        Logits are unbounded, never probabilities. A discriminator of P patches gives logits
        ``(N, P)`` (Isola et al. 2017, arXiv:1611.07004, section 3.2.2). If the architecture is
        conditional on these data, the network takes labels ``(N,)`` as a second argument. With
        ``judges_source`` the last argument is the source ``(N, *data.source)``.

        Args:
            data: Shape and classes of the samples.
            independent_samples: Whether the loss requires that the logits of a sample do not
                depend on the rest of its batch: use layer normalisation or none instead of batch
                normalisation (Gulrajani et al. 2017, arXiv:1704.00028, section 4).

        Raises:
            ganzoo.errors.InputError: the architecture cannot judge samples of this shape.
        """

    def takes_labels(self, data: DataSpec) -> bool:
        """Tell whether both networks take labels for these data, as image translators always do."""
        return self.takes_images

    def make_source(self, samples: Tensor) -> Tensor:
        """Make the source of each sample from the sample itself.

        Override it for what needs no pairs: enlarging, filling holes, colouring. Sources of images
        are images in ``[-1, 1]``. Random numbers, of masks for example, must come from torch's
        global generator; draw on the samples' device. Pictures and evaluations seed it.

        Args:
            samples: Samples of the data ``(N, *data.shape)``, images in ``[-1, 1]``. Do not change
                them.

        Raises:
            ganzoo.errors.InputError: no sources can be made of samples of this shape.
            NotImplementedError: the method is not overridden; the data must then have sources.
        """
        raise NotImplementedError(f"{type(self).__name__} takes the sources of the data")

    def source_shape(self, data: DataSpec) -> tuple[int, ...] | None:
        """Return the shape of the source of each sample; None if the generator takes none.

        By default it is that of what :meth:`make_source` makes of one sample, or else that of the
        sources of the data.

        Raises:
            ganzoo.errors.InputError: the data have no sources, and none can be made.
        """
        if not self.takes_sources:
            return None
        if self.makes_sources:
            import torch

            from ganzoo.compute.seeding import preserve_rng_state

            with preserve_rng_state(), torch.no_grad():
                return tuple(self.make_source(torch.zeros(1, *data.shape)).shape[1:])
        if data.source is None:
            raise InputError(
                "the architecture makes each sample from its source, and these data have none; "
                "give paired data"
            )
        return data.source

    def latent_parts(self) -> tuple[LatentPart, ...]:
        """Name the parts of a latent, in their order.

        By default there is one, ``z``: ``z_dim`` numbers, standard normal, or uniform from -1 to 1
        if an option ``prior`` is ``"uniform"``. Override it for codes (Chen et al. 2016,
        arXiv:1606.03657): how latents are drawn, truncated and interpolated
        follows from it.
        """
        size: int | None = getattr(self, "z_dim", None)
        prior: Distribution = getattr(self, "prior", "normal")
        return () if size is None else (LatentPart("z", size, prior),)

    def complete(self, data: DataSpec) -> DataSpec:
        """Return what the networks are built for: such data, with :meth:`source_shape`.

        Raises:
            ganzoo.errors.InputError: the data have no sources, and none can be made.
        """
        return data.model_copy(update={"source": self.source_shape(data)})

    def latents(self, count: int, rng: torch.Generator) -> Tensor:
        """Draw latents ``(count, D)`` on the device of ``rng``: the :meth:`latent_parts` in turn.

        Raises:
            NotImplementedError: there is no option ``z_dim``, and neither this method nor
                :meth:`latent_parts` is overridden.
        """
        import torch

        drawn = [part.draw(count, rng) for part in self.latent_parts()]
        if not drawn:
            raise NotImplementedError(
                f"{type(self).__name__} needs an option z_dim, or latent_parts() of its own"
            )
        return drawn[0] if len(drawn) == 1 else torch.cat(drawn, dim=1)

    def split_latents(self, latents: Tensor) -> dict[str, Tensor]:
        """Return the :meth:`latent_parts` of latents ``(N, D)`` by name, each ``(N, size)``."""
        return split_latents(self.latent_parts(), latents)

    def sampler(
        self,
        generator: nn.Module,
        data: DataSpec,
        *,
        truncation: float | None = None,
        rng: torch.Generator,
    ) -> nn.Module:
        """Return the network by which a trained generator draws.

        By default it is the generator itself, or what :meth:`truncate` makes of it. It is called
        once for each model that is sampled, judged, pictured or exported, without gradients. So
        standing statistics belong here (Brock et al. 2019, arXiv:1809.11096, appendix D), and
        noise that the seed fixes.

        Args:
            generator: The averaged generator, in evaluation mode, on any device. Do not change it,
                but a copy.
            data: Shape and classes of the samples.
            truncation: As for :meth:`truncate`; None for no truncation. A truncation of 10 must
                change samples very little.
            rng: A generator on the CPU. What is drawn must come from it alone, so that the same
                model draws the same samples.

        Returns:
            A module that takes the generator's arguments, on the generator's device.

        Raises:
            ganzoo.errors.InputError: the architecture does not support truncation.
        """
        return generator if truncation is None else self.truncate(generator, truncation)

    def truncate(self, generator: nn.Module, truncation: float) -> nn.Module:
        """Wrap a generator so that it samples with truncation, trading variety for quality.

        By default, normal and uniform parts of latents are moved into ``[-truncation,
        truncation]``, and categories stay: see
        :class:`~ganzoo.protocols.latents.TruncatedLatents`. Override it if you override
        ``latents``, or to truncate elsewhere, such as in w (Karras et al. 2019,
        arXiv:1812.04948, section 2.1). A truncation of 10 must change samples very little, unless
        it is refused.

        Args:
            generator: The network, in evaluation mode. Do not change it.
            truncation: A finite number above 0. Smaller values give less variety.

        Returns:
            A module that takes the generator's arguments, and holds the generator as a submodule.

        Raises:
            ganzoo.errors.InputError: the architecture does not support truncation.
        """
        parts = self.latent_parts()
        if type(self).latents is not Architecture.latents:
            raise InputError(
                "this model cannot draw with truncation: its architecture draws latents of its "
                "own, and does not say how to truncate them"
            )
        if all(part.distribution == "category" for part in parts):
            raise InputError(
                "this model cannot draw with truncation: its latents are categories alone"
            )
        from ganzoo.protocols.latents import TruncatedLatents

        return TruncatedLatents(generator, parts, truncation)

    def styles(self, generator: nn.Module) -> Styles | None:
        """Return a generator in two halves: a mapping to styles, and a synthesis from them.

        By default there are none. With them, styles can be mixed, samples projected, and
        directions found in w.

        Args:
            generator: A network that :meth:`generator` has built, or a copy. Do not change it.
        """
        return None

    def interpolate(self, start: Tensor, end: Tensor, share: float) -> Tensor:
        """Interpolate between latents, for a walk through the latent space.

        By default each part moves in its own way, and a category changes half-way: see
        :func:`~ganzoo.protocols.latents.interpolate_parts`. Override it if you override
        ``latents``, so that the interpolated latents follow their distribution too.

        Args:
            start: Latents ``(N, D)`` on the CPU. Do not change them.
            end: Latents of the same shape. Do not change them.
            share: From 0, which returns ``start``, to 1, which returns ``end``.

        Returns:
            Latents of the same shape and type.

        Raises:
            ganzoo.errors.InputError: the architecture does not support interpolation.
        """
        if type(self).latents is not Architecture.latents:
            raise InputError(
                "this model cannot walk: its architecture draws latents of its own, and does not "
                "say what lies between them"
            )
        from ganzoo.protocols.latents import interpolate_parts

        return interpolate_parts(self.latent_parts(), start, end, share)

    def advance(self, network: nn.Module, progress: Progress) -> None:
        """Prepare a network for how far the training is; by default nothing changes.

        Growing networks set their resolution here, and the share of a layer that is faded in. The
        trainer calls it before each step for the generator, its average and the discriminator,
        and a model is advanced to where its training ended, so that nothing of this need be in the
        network's state: set plain attributes. For the same progress it must do the same, called
        once or often.

        Args:
            network: A network that this architecture has built.
            progress: How far the training is.
        """

    def prepare_real(self, real: Tensor, progress: Progress) -> Tensor:
        """Return reals as the discriminator is to see them; by default as they are.

        Growing networks show them at the resolution of the fakes, faded likewise (Karras et al.
        2018, arXiv:1710.10196, section 2).

        Args:
            real: Samples of the data ``(N, *shape)``. Do not change them.
            progress: How far the training is.
        """
        return real

    def is_adversarial(self, progress: Progress) -> bool:
        """Tell whether the networks play against each other at some point; by default, always.

        While they do not, the discriminator is not updated, and the generator minimises
        :meth:`generator_terms` alone, without the loss and without penalties. Pre-training by
        pixels (Ledig et al. 2017, arXiv:1609.04802, section 3.2) is an example. Reals are counted
        in ``progress.images`` all the same.

        Args:
            progress: How far the training is. The answer must depend on nothing else.
        """
        return True

    def real_parts(self, real: Tensor) -> Mapping[str, Tensor]:
        """Return what of reals corresponds to the :attr:`judged_parts`, by name.

        Args:
            real: Samples of the data ``(N, *shape)``, as :meth:`prepare_real` returns them. Do not
                change them.

        Returns:
            Tensors of the generator's shapes, that depend on each sample alone and are
            differentiable.
        """
        return {}

    def learning_rates(self, network: nn.Module) -> Mapping[str, float]:
        """Return factors on the learning rate by the beginning of parameters' names.

        ``{"mapping.": 0.01}``, for example; parameters that no name begins have factor 1, and those
        of factor 0 stay as they are.

        Args:
            network: The generator or the discriminator.
        """
        return {}

    def discriminator_layers(self, discriminator: nn.Module) -> Sequence[tuple[str, ...]]:
        """Return the beginnings of parameters' names of each layer, the first after the input.

        ``[("0.",), ("2.", "3.")]``, for example. With ``train.freeze_discriminator`` the first of
        them stay as they are. By default layers are in the order of registration: see
        :func:`~ganzoo.protocols.layers.list_layers`. Override it if the discriminator registers
        them in another order, or works in several paths.

        Args:
            discriminator: A network that :meth:`discriminator` has built.
        """
        from ganzoo.protocols.layers import list_layers

        return list_layers(discriminator)

    def generator_terms(
        self, generator: nn.Module, inputs: GeneratorInput, real: Tensor, fake: Tensor
    ) -> Terms:
        """Return named scalar terms to add to the generator's loss; none by default.

        Cycle consistency belongs here. What fits other architectures too is a
        :class:`~ganzoo.protocols.penalty.Penalty`. There must be some while
        :meth:`is_adversarial` is False.

        Args:
            generator: The network in training; call it again if a term needs that.
            inputs: The generator's input for this batch; ``inputs.progress`` says how far the
                training is.
            real: Samples of the data ``(N, *shape)``, of the classes ``inputs.labels``. With
                ``takes_sources`` they are what ``inputs.given`` are the sources of, one by one.
            fake: ``inputs.through(generator)``, with its graph.
        """
        return {}

    def history(self, data: DataSpec) -> nn.Module | None:
        """Build a pool of earlier fakes for the discriminator's updates; none by default.

        The module takes fakes ``(N, *shape)`` and their labels ``(N,)``, or None, and returns fakes
        of the same shape and classes, such as a mix of new and earlier ones (Shrivastava et al.
        2017, arXiv:1612.07828, section 2.3). Its state must be in buffers: each checkpoint saves
        them, the model does not. Random numbers must come from torch's global generator.
        With :attr:`judged_parts` the fakes are ``(N, K)``: samples and parts, flattened one behind
        the other.
        """
        return None
