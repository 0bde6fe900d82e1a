"""Attribution methods: numpy arithmetic over scores and gradients that a probe computes."""
