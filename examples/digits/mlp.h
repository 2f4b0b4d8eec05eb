/* mlp.h - a multilayer perceptron with one hidden layer: 64 -> hidden (ReLU) -> 10 (softmax). */
#pragma once

#include "data.h"

enum mlp_optimizer { MLP_SGD, MLP_ADAM };

struct mlp_options {
	enum mlp_optimizer optimizer;
	double learning_rate; /* > 0 */
	uint32_t hidden;      /* 1 to 4096 */
	uint32_t epochs, batch_size;
	uint64_t seed;
};

struct mlp_score {
	double accuracy; /* 0 to 1 */
	double loss;	 /* mean cross-entropy in nats */
};

struct mlp_result {
	struct mlp_score validation;
	double train_loss; /* of the last epoch */
};

struct mlp;

struct mlp *mlp_new(const struct mlp_options *options); /* NULL: out of memory */
void mlp_free(struct mlp *mlp);
/** mlp_train() - options.epochs passes over the training cases, each in a fresh order. */
struct mlp_result mlp_train(struct mlp *mlp, const struct data *data);
const double *mlp_parameters(const struct mlp *mlp, uint32_t *countp);
