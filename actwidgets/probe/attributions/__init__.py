"""The differentiated half of attributions: scores, gradients and relevance of a traced model."""
