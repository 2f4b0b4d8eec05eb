/* tasks.c - the three tasks of sweep-c.yaml. tasks.py has them in Python. */
#include "mlp.h"

#include <cashet/task.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN 5

/* prep(csv, cases=900, seed=7): what every training reads. */
int prep(struct cashet_task *task)
{
	const struct cashet_arg *cases = cashet_arg(task, "cases");
	const struct cashet_arg *seed = cashet_arg(task, "seed");
	size_t size;
	void *bytes =
		data_read_csv(cashet_path(cashet_arg_or_at(task, "csv", 0)),
			      cashet_has(cases) ? (uint32_t)cashet_int(cases) : 900,
			      cashet_has(seed) ? (uint64_t)cashet_int(seed) : 7, &size);

	if (!bytes)
		return cashet_fail(task, "the digits cannot be read");
	cashet_return_bytes(task, bytes, size);
	free(bytes);
	return 0;
}

struct run {
	double accuracy, loss, train_loss, rate;
	const char *optimizer;
	int64_t hidden, seed;
};

/* Numbers and texts at the top are metrics; what was asked for is not. */
static void write_run(struct cashet_task *task, const struct run *run)
{
	cashet_json_object(task);
	cashet_json_key(task, "val_accuracy");
	cashet_json_float(task, run->accuracy);
	cashet_json_key(task, "val_loss");
	cashet_json_float(task, run->loss);
	cashet_json_key(task, "train_loss");
	cashet_json_float(task, run->train_loss);
	cashet_json_key(task, "options");
	cashet_json_object(task);
	cashet_json_key(task, "opt");
	cashet_json_text(task, run->optimizer);
	cashet_json_key(task, "lr");
	cashet_json_float(task, run->rate);
	cashet_json_key(task, "hidden");
	cashet_json_int(task, run->hidden);
	cashet_json_key(task, "seed");
	cashet_json_int(task, run->seed);
	cashet_json_end(task);
	cashet_json_end(task);
}

/* train(data, opt, lr, hidden, seed, epochs=8): its numbers become the metrics of the task. */
int train(struct cashet_task *task)
{
	const struct cashet_arg *epochs = cashet_arg(task, "epochs");
	const char *opt = cashet_text(cashet_arg(task, "opt"));
	struct mlp_options options = {
		.optimizer = strcmp(opt, "adam") ? MLP_SGD : MLP_ADAM,
		.learning_rate = cashet_float(cashet_arg(task, "lr")),
		.hidden = (uint32_t)cashet_int(cashet_arg(task, "hidden")),
		.epochs = cashet_has(epochs) ? (uint32_t)cashet_int(epochs) : 8,
		.batch_size = 32,
		.seed = (uint64_t)cashet_int(cashet_arg(task, "seed")),
	};
	struct mlp_result result;
	struct data data;
	struct mlp *mlp;
	size_t size;
	const void *bytes = cashet_bytes(cashet_arg_or_at(task, "data", 0), &size);

	if (cashet_failed(task))
		return 1;
	if (data_view(&data, bytes, size))
		return cashet_fail(task, "these are not the data of prep()");
	mlp = mlp_new(&options);
	if (!mlp)
		return cashet_fail(task, "out of memory for %u hidden units",
				   options.hidden);
	result = mlp_train(mlp, &data);
	mlp_free(mlp);
	if (!isfinite(result.train_loss) || !isfinite(result.validation.loss))
		return cashet_fail(task, "training diverged, try a smaller lr than %g",
				   options.learning_rate);
	write_run(task, &(struct run){
				.accuracy = result.validation.accuracy,
				.loss = result.validation.loss,
				.train_loss = result.train_loss,
				.optimizer = opt,
				.rate = options.learning_rate,
				.hidden = options.hidden,
				.seed = (int64_t)options.seed,
			});
	return 0;
}

static struct run read_run(const struct cashet_arg *result)
{
	const struct cashet_arg *options = cashet_member(result, "options");

	return (struct run){
		.accuracy = cashet_float(cashet_member(result, "val_accuracy")),
		.loss = cashet_float(cashet_member(result, "val_loss")),
		.train_loss = cashet_float(cashet_member(result, "train_loss")),
		.optimizer = cashet_text(cashet_member(options, "opt")),
		.rate = cashet_float(cashet_member(options, "lr")),
		.hidden = cashet_int(cashet_member(options, "hidden")),
		.seed = cashet_int(cashet_member(options, "seed")),
	};
}

static int by_loss(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	return (x->loss > y->loss) - (x->loss < y->loss);
}

/* report(runs): rank the networks. */
int report(struct cashet_task *task)
{
	const struct cashet_arg *results = cashet_arg_or_at(task, "runs", 0);
	size_t count = cashet_count(results);
	struct run *runs = calloc(count ? count : 1, sizeof *runs);
	double sum = 0;

	if (!runs || !count) {
		free(runs);
		return cashet_fail(task, "no networks to rank");
	}
	for (size_t i = 0; i < count; i++) {
		runs[i] = read_run(cashet_item(results, i));
		sum += runs[i].accuracy;
	}
	qsort(runs, count, sizeof *runs, by_loss);
	cashet_json_object(task);
	cashet_json_key(task, "networks");
	cashet_json_int(task, (int64_t)count);
	cashet_json_key(task, "mean_accuracy");
	cashet_json_float(task, sum / (double)count);
	cashet_json_key(task, "best");
	cashet_json_array(task);
	for (size_t i = 0; i < count && i < SHOWN; i++)
		write_run(task, &runs[i]);
	cashet_json_end(task);
	cashet_json_end(task);
	free(runs);
	return 0;
}
