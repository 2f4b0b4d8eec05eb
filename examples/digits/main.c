/* main.c - the digits program: prep splits and normalises, train fits one network, report
 * ranks many. Every hyperparameter is a flag, so that a sweep is a command line. */
#include "mlp.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
	"usage: digits prep   --in digits.csv.gz --out data.bin [--seed N]\n"
	"       digits train  --data data.bin [--opt adam|sgd] [--lr X] [--hidden N] "
	"[--epochs N]\n"
	"                     [--batch N] [--seed N] [--model FILE] [--metrics FILE]\n"
	"                     [--scores FILE]\n"
	"       digits report SCORES...\n";

struct arguments {
	const char *in, *out, *data, *model, *metrics, *scores;
	struct mlp_options mlp;
};

static int bad_value(const char *option, const char *text)
{
	fprintf(stderr, "digits: --%s %s: not a value that makes sense\n", option, text);
	return 2;
}

static int parse_uint(const char *option, const char *text, uint64_t low, uint64_t high,
		      uint64_t *value)
{
	char *end;

	errno = 0;
	*value = strtoull(text, &end, 10);
	if (errno || *end || end == text || *text == '-' || *value < low || *value > high)
		return bad_value(option, text);
	return 0;
}

static int parse_arguments(struct arguments *a, int argc, char **argv)
{
	static const struct option options[] = {
		{"in", 1, NULL, 'i'},	   {"out", 1, NULL, 'o'},
		{"data", 1, NULL, 'd'},	   {"opt", 1, NULL, 'p'},
		{"lr", 1, NULL, 'l'},	   {"hidden", 1, NULL, 'h'},
		{"epochs", 1, NULL, 'e'},  {"batch", 1, NULL, 'b'},
		{"seed", 1, NULL, 's'},	   {"model", 1, NULL, 'm'},
		{"metrics", 1, NULL, 't'}, {"scores", 1, NULL, 'c'},
		{NULL, 0, NULL, 0},
	};
	uint64_t number;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'i':
			a->in = optarg;
			break;
		case 'o':
			a->out = optarg;
			break;
		case 'd':
			a->data = optarg;
			break;
		case 'm':
			a->model = optarg;
			break;
		case 't':
			a->metrics = optarg;
			break;
		case 'c':
			a->scores = optarg;
			break;
		case 'p':
			if (strcmp(optarg, "adam") && strcmp(optarg, "sgd"))
				return bad_value("opt", optarg);
			a->mlp.optimizer = strcmp(optarg, "adam") ? MLP_SGD : MLP_ADAM;
			break;
		case 'l':
			a->mlp.learning_rate = strtof(optarg, NULL);
			if (!(a->mlp.learning_rate > 0 && a->mlp.learning_rate < 1e3f))
				return bad_value("lr", optarg);
			break;
		case 'h':
			if (parse_uint("hidden", optarg, 1, 4096, &number))
				return 2;
			a->mlp.hidden = (uint32_t)number;
			break;
		case 'e':
			if (parse_uint("epochs", optarg, 1, 100000, &number))
				return 2;
			a->mlp.epochs = (uint32_t)number;
			break;
		case 'b':
			if (parse_uint("batch", optarg, 1, 100000, &number))
				return 2;
			a->mlp.batch_size = (uint32_t)number;
			break;
		case 's':
			if (parse_uint("seed", optarg, 0, UINT64_MAX, &a->mlp.seed))
				return 2;
			break;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	return 0;
}

static int prep(const struct arguments *a)
{
	struct data data;
	int bad;

	if (!a->in || !a->out) {
		fputs(usage, stderr);
		return 2;
	}
	if (data_read_csv(&data, a->in, a->mlp.seed))
		return 1;
	bad = data_save(&data, a->out);
	printf("%u training and %u validation cases\n", data.train_count,
	       data.validation_count);
	data_fini(&data);
	return bad;
}

static int close_written(FILE *file, const char *path, int bad)
{
	if (file && fclose(file))
		bad = 1;
	if (bad)
		fprintf(stderr, "digits: cannot write %s: %s\n", path, strerror(errno));
	return bad;
}

static int write_metrics(const char *path, struct mlp_score score, double train_loss)
{
	FILE *file = fopen(path, "w");
	int bad = !file || fprintf(file,
				   "{\"val_accuracy\": %.6f, \"val_loss\": %.6f, "
				   "\"train_loss\": %.6f}\n",
				   score.accuracy, score.loss, train_loss) < 0;

	return close_written(file, path, bad);
}

/* One line, for report: the score and what was trained. */
static int write_scores(const char *path, struct mlp_score score,
			const struct mlp_options *mlp)
{
	FILE *file = fopen(path, "w");
	int bad =
		!file || fprintf(file, "%.6f %.6f %s %.9g %u %llu\n", score.accuracy,
				 score.loss, mlp->optimizer == MLP_ADAM ? "adam" : "sgd",
				 (double)mlp->learning_rate, mlp->hidden,
				 (unsigned long long)mlp->seed) < 0;

	return close_written(file, path, bad);
}

static int train(const struct arguments *a)
{
	struct mlp_score score = {0};
	double loss = NAN;
	struct data data;
	struct mlp *mlp;
	int bad = 0;

	if (!a->data) {
		fputs(usage, stderr);
		return 2;
	}
	if (data_load(&data, a->data))
		return 1;
	mlp = mlp_new(&a->mlp);
	if (!mlp) {
		fprintf(stderr, "digits: out of memory\n");
		data_fini(&data);
		return 1;
	}
	for (uint32_t epoch = 1; epoch <= a->mlp.epochs; epoch++) {
		loss = mlp_train_epoch(mlp, &data);
		if (epoch % 10 && epoch != a->mlp.epochs)
			continue;
		score = mlp_score(mlp, &data, data.train_count, data.validation_count);
		printf("epoch %u  train_loss %.4f  val_loss %.4f  val_accuracy %.4f\n",
		       epoch, loss, score.loss, score.accuracy);
		fflush(stdout);
	}
	if (!isfinite(loss) || !isfinite(score.loss)) {
		fprintf(stderr, "digits: training diverged, try a smaller --lr\n");
		bad = 1;
	}
	bad = bad || (a->model && mlp_save(mlp, a->model));
	bad = bad || (a->metrics && write_metrics(a->metrics, score, loss));
	bad = bad || (a->scores && write_scores(a->scores, score, &a->mlp));
	mlp_free(mlp);
	data_fini(&data);
	return bad;
}

struct row {
	double accuracy, loss, rate;
	char optimizer[16];
	unsigned hidden;
	unsigned long long seed;
};

static int by_accuracy(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	if (x->accuracy != y->accuracy)
		return x->accuracy < y->accuracy ? 1 : -1;
	return (x->loss > y->loss) - (x->loss < y->loss);
}

/* Reads only what write_scores() writes. */
static int read_scores(const char *path, struct row *row)
{
	FILE *file = fopen(path, "r");
	int fields = 0;

	if (file) {
		fields = fscanf(file, "%lf %lf %15[a-z] %lf %u %llu", &row->accuracy,
				&row->loss, row->optimizer, &row->rate, &row->hidden,
				&row->seed);
		fclose(file);
	}
	if (fields == 6)
		return 0;
	fprintf(stderr, "digits: %s was not written by `digits train --scores`\n", path);
	return 1;
}

static int report(char **paths, int count)
{
	struct row *rows;
	double sum = 0;

	if (count < 1) {
		fputs(usage, stderr);
		return 2;
	}
	rows = calloc((size_t)count, sizeof *rows);
	if (!rows)
		return 1;
	for (int i = 0; i < count; i++) {
		if (read_scores(paths[i], &rows[i])) {
			free(rows);
			return 1;
		}
		sum += rows[i].accuracy;
	}
	qsort(rows, (size_t)count, sizeof *rows, by_accuracy);
	printf("%d networks, mean validation accuracy %.2f %%\n", count,
	       100 * sum / count);
	printf("%-4s  %-12s  %-8s  %-4s  %-8s  %-6s  %s\n", "rank", "val_accuracy",
	       "val_loss", "opt", "lr", "hidden", "seed");
	for (int i = 0; i < count && i < 10; i++)
		printf("%-4d  %-12.4f  %-8.4f  %-4s  %-8.4g  %-6u  %llu\n", i + 1,
		       rows[i].accuracy, rows[i].loss, rows[i].optimizer, rows[i].rate,
		       rows[i].hidden, rows[i].seed);
	free(rows);
	return 0;
}

int main(int argc, char **argv)
{
	struct arguments a = {
		.mlp = {.optimizer = MLP_ADAM,
			.learning_rate = 1e-3f,
			.hidden = 64,
			.epochs = 40,
			.batch_size = 32},
	};
	const char *command = argc > 1 ? argv[1] : "";
	int code;

	if (!strcmp(command, "report"))
		return report(argv + 2, argc - 2);
	if (strcmp(command, "prep") && strcmp(command, "train")) {
		fputs(usage, stderr);
		return 2;
	}
	code = parse_arguments(&a, argc - 1, argv + 1);
	if (code)
		return code;
	return strcmp(command, "prep") ? train(&a) : prep(&a);
}
