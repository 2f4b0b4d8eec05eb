/* mlp.h - a multilayer perceptron with one hidden layer: 64 -> hidden (ReLU) -> 10
 * (softmax). */
#pragma once

#include "data.h"

enum mlp_optimizer { MLP_SGD, MLP_ADAM };

struct mlp_options {
	enum mlp_optimizer optimizer;
	float learning_rate; /* > 0 */
	uint32_t hidden;     /* 1 to 4096 */
	uint32_t epochs, batch_size;
	uint64_t seed;
};

struct mlp_score {
	double accuracy; /* 0 to 1 */
	double loss;	 /* mean cross-entropy in nats */
};

struct mlp;

struct mlp *mlp_new(const struct mlp_options *options); /* NULL: out of memory */
void mlp_free(struct mlp *mlp);
/** mlp_train_epoch() - one pass over the training cases in a fresh order. Return: mean
 * loss. */
double mlp_train_epoch(struct mlp *mlp, const struct data *data);
/** mlp_score() - on the cases from @first to @first + @count - 1. */
struct mlp_score mlp_score(struct mlp *mlp, const struct data *data, uint32_t first,
			   uint32_t count);
int mlp_save(const struct mlp *mlp, const char *path);
