"""Building blocks for networks and penalties; a public part of ganzoo that needs torch.

Import it where networks are built, and not where a component declares its options: commands such
as ``ganzoo list`` then stay fast.
"""

from __future__ import annotations

from ganzoo.nn.attention import SelfAttention2d as SelfAttention2d
from ganzoo.nn.conditional import ClassBatchNorm2d as ClassBatchNorm2d
from ganzoo.nn.conditional import ConditionalBatchNorm2d as ConditionalBatchNorm2d
from ganzoo.nn.conditional import ConditionalSequential as ConditionalSequential
from ganzoo.nn.conditional import ConditionalUpBlock as ConditionalUpBlock
from ganzoo.nn.equalized import EqualizedConv2d as EqualizedConv2d
from ganzoo.nn.equalized import EqualizedLinear as EqualizedLinear
from ganzoo.nn.fusion import FeatureSequential as FeatureSequential
from ganzoo.nn.fusion import FusedSequential as FusedSequential
from ganzoo.nn.fusion import apply_layer as apply_layer
from ganzoo.nn.fusion import conv2d_avg_pool as conv2d_avg_pool
from ganzoo.nn.fusion import fuse as fuse
from ganzoo.nn.fusion import upsample_conv2d as upsample_conv2d
from ganzoo.nn.initialisation import draw_normal as draw_normal
from ganzoo.nn.output import EvaluationClamp as EvaluationClamp
from ganzoo.nn.projection import ClassProjection as ClassProjection
from ganzoo.nn.resampling import BinomialBlur as BinomialBlur
from ganzoo.nn.resampling import BinomialDownsample as BinomialDownsample
from ganzoo.nn.resampling import BinomialUpsample as BinomialUpsample
from ganzoo.nn.resampling import reduce_bicubic as reduce_bicubic
from ganzoo.nn.residual import Residual as Residual
from ganzoo.nn.residual import SumOverPixels as SumOverPixels
from ganzoo.nn.residual import count_down_blocks as count_down_blocks
from ganzoo.nn.residual import down_block as down_block
from ganzoo.nn.residual import draw_glorot as draw_glorot
from ganzoo.nn.residual import first_block as first_block
from ganzoo.nn.residual import residual_generator as residual_generator
from ganzoo.nn.residual import same_block as same_block
from ganzoo.nn.residual import up_block as up_block
from ganzoo.nn.slopes import draw_between as draw_between
from ganzoo.nn.slopes import find_slopes as find_slopes
from ganzoo.nn.slopes import mean_squared_slope as mean_squared_slope
from ganzoo.nn.slopes import slope_deviation as slope_deviation
from ganzoo.nn.slopes import track_samples as track_samples
from ganzoo.nn.spectral import normalise_spectrum as normalise_spectrum
from ganzoo.nn.statistics import MinibatchDiscrimination as MinibatchDiscrimination
from ganzoo.nn.statistics import MinibatchStd as MinibatchStd
from ganzoo.nn.statistics import PixelNorm as PixelNorm
from ganzoo.nn.statistics import standing_statistics as standing_statistics
from ganzoo.nn.translation import patch_discriminator as patch_discriminator
from ganzoo.nn.translation import residual_translator as residual_translator
