"""One loop, two abstractions: Learner and Estimator. Knows no method."""
