/* mlp.c - forward and backward passes over one case at a time, gradients summed over a mini-batch, then
 * one step of SGD (momentum 0.9) or Adam (Kingma and Ba, 2015). All parameters lie in one array, so
 * that an optimiser is one loop. mlp.py does the same sums in the same order, so both come to the
 * same network, bit for bit. */
#include "mlp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct mlp {
	struct mlp_options options;
	uint32_t parameter_count;
	double *parameters; /* w1 [hidden][64], b1 [hidden], w2 [10][hidden], b2 [10] */
	double *gradient, *first_moment, *second_moment;
	double *hidden, *hidden_gradient;
	uint32_t *order;
	uint64_t random, steps;
};

struct layers {
	double *w1, *b1, *w2, *b2;
};

static struct layers layers_of(double *base, uint32_t hidden)
{
	double *b1 = base + (size_t)hidden * DATA_PIXELS;
	double *w2 = b1 + hidden;

	return (struct layers){base, b1, w2, w2 + (size_t)DATA_CLASSES * hidden};
}

/* Uniform in (-1, 1). */
static double random_unit(uint64_t *state)
{
	return (double)(data_random(state) >> 11) / 4503599627370496.0 - 1.0;
}

struct mlp *mlp_new(const struct mlp_options *options)
{
	struct mlp *mlp = calloc(1, sizeof *mlp);
	uint32_t hidden = options->hidden;
	struct layers layers;

	if (!mlp)
		return NULL;
	mlp->options = *options;
	mlp->random = options->seed ^ 0x6469676974730000u;
	mlp->parameter_count =
		hidden * DATA_PIXELS + hidden + DATA_CLASSES * hidden + DATA_CLASSES;
	mlp->parameters = calloc(mlp->parameter_count, sizeof(double));
	mlp->gradient = calloc(mlp->parameter_count, sizeof(double));
	mlp->first_moment = calloc(mlp->parameter_count, sizeof(double));
	mlp->second_moment = calloc(mlp->parameter_count, sizeof(double));
	mlp->hidden = calloc(hidden, sizeof(double));
	mlp->hidden_gradient = calloc(hidden, sizeof(double));
	if (!mlp->parameters || !mlp->gradient || !mlp->first_moment ||
	    !mlp->second_moment || !mlp->hidden || !mlp->hidden_gradient) {
		mlp_free(mlp);
		return NULL;
	}
	/* He et al. (2015): variance 2 / fan-in; a uniform of half-width s has s^2 / 3.
	 */
	layers = layers_of(mlp->parameters, hidden);
	for (uint32_t i = 0; i < hidden * DATA_PIXELS; i++)
		layers.w1[i] = random_unit(&mlp->random) * sqrt(6.0 / DATA_PIXELS);
	for (uint32_t i = 0; i < DATA_CLASSES * hidden; i++)
		layers.w2[i] = random_unit(&mlp->random) * sqrt(6.0 / (double)hidden);
	return mlp;
}

void mlp_free(struct mlp *mlp)
{
	if (!mlp)
		return;
	free(mlp->parameters);
	free(mlp->gradient);
	free(mlp->first_moment);
	free(mlp->second_moment);
	free(mlp->hidden);
	free(mlp->hidden_gradient);
	free(mlp->order);
	free(mlp);
}

/* Fills mlp->hidden and @probability. Return: cross-entropy of @label. */
static double forward(struct mlp *mlp, const double *pixels, uint8_t label,
		      double probability[DATA_CLASSES])
{
	uint32_t hidden = mlp->options.hidden;
	struct layers l = layers_of(mlp->parameters, hidden);
	double largest = -INFINITY, sum = 0;

	for (uint32_t h = 0; h < hidden; h++) {
		const double *weights = l.w1 + (size_t)h * DATA_PIXELS;
		double value = l.b1[h];

		for (int i = 0; i < DATA_PIXELS; i++)
			value += weights[i] * pixels[i];
		mlp->hidden[h] = value > 0 ? value : 0;
	}
	for (int c = 0; c < DATA_CLASSES; c++) {
		const double *weights = l.w2 + (size_t)c * hidden;
		double value = l.b2[c];

		for (uint32_t h = 0; h < hidden; h++)
			value += weights[h] * mlp->hidden[h];
		probability[c] = value;
		largest = fmax(largest, value);
	}
	for (int c = 0; c < DATA_CLASSES; c++)
		sum += probability[c] = exp(probability[c] - largest);
	for (int c = 0; c < DATA_CLASSES; c++)
		probability[c] /= sum;
	return -log(fmax(probability[label], 1e-12));
}

static void backward(struct mlp *mlp, const double *pixels, uint8_t label,
		     const double probability[DATA_CLASSES])
{
	uint32_t hidden = mlp->options.hidden;
	struct layers l = layers_of(mlp->parameters, hidden);
	struct layers g = layers_of(mlp->gradient, hidden);

	memset(mlp->hidden_gradient, 0, hidden * sizeof(double));
	for (int c = 0; c < DATA_CLASSES; c++) {
		double delta = probability[c] - (c == label ? 1.0 : 0.0);

		g.b2[c] += delta;
		for (uint32_t h = 0; h < hidden; h++) {
			g.w2[(size_t)c * hidden + h] += delta * mlp->hidden[h];
			mlp->hidden_gradient[h] += delta * l.w2[(size_t)c * hidden + h];
		}
	}
	for (uint32_t h = 0; h < hidden; h++) {
		double delta = mlp->hidden_gradient[h];
		double *row = g.w1 + (size_t)h * DATA_PIXELS;

		if (mlp->hidden[h] <= 0)
			continue;
		g.b1[h] += delta;
		for (int i = 0; i < DATA_PIXELS; i++)
			row[i] += delta * pixels[i];
	}
}

static void step_sgd(struct mlp *mlp, double scale)
{
	double rate = mlp->options.learning_rate;

	for (uint32_t i = 0; i < mlp->parameter_count; i++) {
		mlp->first_moment[i] =
			0.9 * mlp->first_moment[i] + mlp->gradient[i] * scale;
		mlp->parameters[i] -= rate * mlp->first_moment[i];
	}
}

static void step_adam(struct mlp *mlp, double scale)
{
	const double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
	double correction1 = 1 - pow(beta1, (double)mlp->steps);
	double correction2 = 1 - pow(beta2, (double)mlp->steps);
	double rate = mlp->options.learning_rate * sqrt(correction2) / correction1;

	for (uint32_t i = 0; i < mlp->parameter_count; i++) {
		double g = mlp->gradient[i] * scale;

		mlp->first_moment[i] = beta1 * mlp->first_moment[i] + (1 - beta1) * g;
		mlp->second_moment[i] =
			beta2 * mlp->second_moment[i] + (1 - beta2) * g * g;
		mlp->parameters[i] -= rate * mlp->first_moment[i] /
				      (sqrt(mlp->second_moment[i]) + epsilon);
	}
}

static double train_epoch(struct mlp *mlp, const struct data *data)
{
	uint32_t count = data->train_count, size = mlp->options.batch_size;
	double loss = 0;

	if (!mlp->order) {
		mlp->order = calloc(count, sizeof *mlp->order);
		if (!mlp->order)
			return NAN;
		for (uint32_t i = 0; i < count; i++)
			mlp->order[i] = i;
	}
	for (uint32_t i = count; i > 1; i--) {
		uint32_t j = (uint32_t)(data_random(&mlp->random) % i);
		uint32_t swap = mlp->order[i - 1];

		mlp->order[i - 1] = mlp->order[j];
		mlp->order[j] = swap;
	}
	for (uint32_t first = 0; first < count; first += size) {
		uint32_t n = count - first < size ? count - first : size;

		memset(mlp->gradient, 0, mlp->parameter_count * sizeof(double));
		for (uint32_t i = first; i < first + n; i++) {
			const double *pixels =
				data->pixels + (size_t)mlp->order[i] * DATA_PIXELS;
			uint8_t label = data->labels[mlp->order[i]];
			double probability[DATA_CLASSES];

			loss += forward(mlp, pixels, label, probability);
			backward(mlp, pixels, label, probability);
		}
		mlp->steps++;
		if (mlp->options.optimizer == MLP_ADAM)
			step_adam(mlp, 1.0 / (double)n);
		else
			step_sgd(mlp, 1.0 / (double)n);
	}
	return loss / count;
}

static struct mlp_score score_of(struct mlp *mlp, const struct data *data, uint32_t first,
				 uint32_t count)
{
	struct mlp_score score = {0};

	for (uint32_t i = first; i < first + count; i++) {
		double probability[DATA_CLASSES];
		int best = 0;

		score.loss += forward(mlp, data->pixels + (size_t)i * DATA_PIXELS,
				      data->labels[i], probability);
		for (int c = 1; c < DATA_CLASSES; c++)
			if (probability[c] > probability[best])
				best = c;
		score.accuracy += best == data->labels[i];
	}
	score.loss /= count;
	score.accuracy /= count;
	return score;
}

struct mlp_result mlp_train(struct mlp *mlp, const struct data *data)
{
	struct mlp_result result = {0};

	for (uint32_t epoch = 0; epoch < mlp->options.epochs; epoch++)
		result.train_loss = train_epoch(mlp, data);
	result.validation =
		score_of(mlp, data, data->train_count, data->validation_count);
	return result;
}

const double *mlp_parameters(const struct mlp *mlp, uint32_t *countp)
{
	*countp = mlp->parameter_count;
	return mlp->parameters;
}
