"""Pictures: decoding, a cache of decoded ones, augmentation, sampling. No task knowledge."""
