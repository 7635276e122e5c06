"""How bright a tissue is in balanced steady-state free precession (bSSFP) at the two field strengths of MR-linacs.

Relaxation times at 1.5 T are published means: de Bazelaire et al., Radiology 2004;230:652-659 (liver, spleen, kidney,
pancreas, paravertebral muscle, marrow, subcutaneous fat, prostate) and Stanisz et al., Magn Reson Med 2005;54:507-512
(blood, heart, cartilage). T1 at other fields follows T1 = A nu^B with the exponents B of Bottomley et al., Med Phys
1984;11:425-448; T2 is taken as independent of the field, as found there. Proton densities are the mass fractions of
water, rounded, after Woodard and White, Br J Radiol 1986;59:1209-1219, with lipid counted in where it gives signal; the
lung's is thinned by its air. What has no published value here (the prostate's density, disc, bowel, gas, cortical
bone) is chosen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

REFERENCE_FIELD_T = 1.5


@dataclass(frozen=True)
class Tissue:
    """Relaxation times at 1.5 T (ms), the exponent of T1's growth with the field, proton density (water = 1)."""

    t1_ms: float
    t2_ms: float
    t1_exponent: float
    proton_density: float


TISSUES: dict[str, Tissue] = {
    "liver": Tissue(586, 46, 0.38, 0.75),
    "spleen": Tissue(1057, 79, 0.33, 0.80),
    "kidney_cortex": Tissue(966, 87, 0.25, 0.80),
    "kidney_medulla": Tissue(1412, 85, 0.25, 0.80),
    "pancreas": Tissue(584, 46, 0.33, 0.70),
    "muscle": Tissue(856, 27, 0.42, 0.75),
    "marrow": Tissue(549, 49, 0.20, 0.80),
    "fat": Tissue(343, 58, 0.17, 0.95),
    "prostate": Tissue(1317, 88, 0.33, 0.85),
    "blood": Tissue(1441, 290, 0.25, 0.80),
    "myocardium": Tissue(1030, 40, 0.36, 0.75),
    "disc": Tissue(1024, 36, 0.30, 0.80),  # as cartilage, with a T2 between those of its two directions
    "fluid": Tissue(3000, 800, 0.0, 1.00),  # chosen: urine, bile and spinal fluid relax much slower than tissue
    "bowel_wall": Tissue(900, 45, 0.35, 0.80),  # chosen: between muscle and parenchyma
    "bowel_content": Tissue(1200, 120, 0.30, 0.80),  # chosen: from fluid to stool, varied by the anatomy
    "lung": Tissue(1100, 30, 0.33, 0.20),  # chosen T2: shortened by the air-tissue interfaces
    "cortical_bone": Tissue(400, 1.0, 0.2, 0.10),  # chosen: next to no signal
    "gas": Tissue(1000, 1.0, 0.0, 0.005),  # chosen: no signal but that of its rim
}


@dataclass(frozen=True)
class PulseSequence:
    """bSSFP timing: repetition time and echo time in ms, flip angle in degrees."""

    repetition_ms: float
    echo_ms: float
    flip_deg: float


def t1_at_field(tissue: Tissue, field_strength_t: float) -> float:
    """T1 in ms at a field strength in T. Source: T1 = A nu^B (Bottomley et al. 1984), anchored at 1.5 T."""
    return tissue.t1_ms * (field_strength_t / REFERENCE_FIELD_T) ** tissue.t1_exponent


def bssfp_signal(
    t1_ms: float,
    t2_ms: float,
    proton_density: float,
    sequence: PulseSequence,
    precession_rad: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Steady-state signal magnitude of bSSFP with alternating radio-frequency phase, arbitrary unit.

    Args:
        precession_rad: off-resonance precession during one repetition time; 0 is the centre of the pass band, pi a dark
            band.
    Returns:
        Of the shape of `precession_rad`.
    Source: Freeman and Hill, J Magn Reson 1971;4:366-383, in the form M0 (1-E1) sin(a) (1 - E2 exp(-i theta)) / (C
    cos(theta) + D).
    """
    e1, e2 = np.exp(-sequence.repetition_ms / t1_ms), np.exp(-sequence.repetition_ms / t2_ms)
    flip = np.deg2rad(sequence.flip_deg)
    # Alternating the pulse's phase shifts the profile by pi, so that on resonance is in the pass band.
    theta = np.asarray(precession_rad) + np.pi
    c = e2 * (e1 - 1.0) * (1.0 + np.cos(flip))
    d = (1.0 - e1 * np.cos(flip)) - (e1 - np.cos(flip)) * e2**2
    steady = (1.0 - e1) * np.sin(flip) * np.abs(1.0 - e2 * np.exp(-1j * theta)) / (c * np.cos(theta) + d)
    return proton_density * steady * np.exp(-sequence.echo_ms / t2_ms)


def tissue_signals(field_strength_t: float, sequence: PulseSequence) -> dict[str, float]:
    """On-resonance signal of every tissue, divided by fat's, which is the brightest thing in most frames."""
    signals = {
        name: float(bssfp_signal(t1_at_field(tissue, field_strength_t), tissue.t2_ms, tissue.proton_density, sequence))
        for name, tissue in TISSUES.items()
    }
    return {name: signal / signals["fat"] for name, signal in signals.items()}


def banding_profile(precession_rad: np.ndarray, field_strength_t: float, sequence: PulseSequence) -> np.ndarray:
    """Relative signal (1 on resonance) where precession varies over the image, for a liver-like tissue.

    One profile serves all tissues: their dark bands coincide and differ only in width.
    """
    liver = TISSUES["liver"]
    t1_ms = t1_at_field(liver, field_strength_t)
    on_resonance = bssfp_signal(t1_ms, liver.t2_ms, 1.0, sequence)
    return bssfp_signal(t1_ms, liver.t2_ms, 1.0, sequence, precession_rad) / on_resonance
