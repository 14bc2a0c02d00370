"""The peer of anomaly_images.py, run by a Python that has anomalib: PatchCore on given arrays and weights.

Command: python peer_patchcore.py IN.npz WEIGHTS.safetensors OUT.npy N_KEPT
Its core-set is chosen from 40,000 random patches, as ours is; from all 185,000 it takes half an hour.
"""

import sys

import numpy as np
import timm
import torch
from anomalib.models.image.patchcore.torch_model import PatchcoreModel
from safetensors.torch import load_file


def main() -> None:
    """Largest patch distances, weighted by PatchCore, of the test pictures."""
    given, weights, answer, n_kept = sys.argv[1:]
    torch.set_num_threads(1)
    torch.manual_seed(0)
    arrays = np.load(given)
    network = timm.create_model("mobilenetv2_100", pad_type="same", pretrained=False)
    network.load_state_dict({name: value.float() for name, value in load_file(weights).items()})
    model = PatchcoreModel(layers=["blocks.2", "blocks.4"], backbone="mobilenetv2_100", pre_trained=False)
    # its own extractor, whose network gets the weights and the padding that they need
    body = model.feature_extractor.feature_extractor
    padded = timm.create_model(
        "mobilenetv2_100", pad_type="same", pretrained=False, features_only=True,
        out_indices=[body.feature_info.out_indices[i] for i in range(len(body.feature_info.out_indices))],
    )  # fmt: skip
    missing, _ = padded.load_state_dict(network.state_dict(), strict=False)
    assert not missing, missing
    model.feature_extractor.feature_extractor = padded.eval()

    def pictures(name: str) -> torch.Tensor:
        return (torch.from_numpy(arrays[name]).float() / 127.5 - 1).movedim(-1, 1).expand(-1, 3, -1, -1)

    model.train()
    model.feature_extractor.eval()
    with torch.inference_mode():
        for part in pictures("train").split(32):
            model(part)
        patches = torch.vstack(model.embedding_store)
        few = patches[torch.randperm(len(patches))[:40_000]]
        model.embedding_store = [few]
        model.subsample_embedding(int(n_kept) / len(few))
        model.eval()
        scores = [model(part).pred_score.flatten() for part in pictures("test").split(16)]
    np.save(answer, torch.cat(scores).numpy())


if __name__ == "__main__":
    main()
