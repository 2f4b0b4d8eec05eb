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
	"usage: digits prep   --in digits.csv.gz --out data.bin [--cases N] [--seed N]\n"
	"       digits train  --data data.bin [--opt adam|sgd] [--lr X] [--hidden N] "
	"[--epochs N]\n"
	"                     [--batch N] [--seed N] [--model FILE] [--metrics FILE]\n"
	"                     [--scores FILE]\n"
	"       digits report SCORES...\n";

struct arguments {
	const char *in, *out, *data, *model, *metrics, *scores;
	uint32_t cases;
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
		{"cases", 1, NULL, 'n'},   {NULL, 0, NULL, 0},
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
			a->mlp.learning_rate = strtod(optarg, NULL);
			if (!(a->mlp.learning_rate > 0 && a->mlp.learning_rate < 1e3))
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
		case 'n':
			if (parse_uint("cases", optarg, 10, 100000, &number))
				return 2;
			a->cases = (uint32_t)number;
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

static int close_written(FILE *file, const char *path, int bad)
{
	if (file && fclose(file))
		bad = 1;
	if (bad)
		fprintf(stderr, "digits: cannot write %s: %s\n", path, strerror(errno));
	return bad;
}

static int write_bytes(const char *path, const void *bytes, size_t size)
{
	FILE *file = fopen(path, "wb");
	int bad = !file || fwrite(bytes, 1, size, file) != size;

	return close_written(file, path, bad);
}

/* What was written by write_bytes(): to be freed. */
static void *read_bytes(const char *path, size_t *sizep)
{
	FILE *file = fopen(path, "rb");
	void *bytes = NULL;
	long size = -1;

	if (file && !fseek(file, 0, SEEK_END))
		size = ftell(file);
	if (size >= 0)
		bytes = malloc((size_t)size + 1);
	if (bytes && (fseek(file, 0, SEEK_SET) ||
		      fread(bytes, 1, (size_t)size, file) != (size_t)size)) {
		free(bytes);
		bytes = NULL;
	}
	if (!bytes)
		fprintf(stderr, "digits: cannot read %s: %s\n", path, strerror(errno));
	if (file)
		fclose(file);
	*sizep = size < 0 ? 0 : (size_t)size;
	return bytes;
}

static int prep(const struct arguments *a)
{
	struct data data;
	size_t size;
	void *bytes;
	int bad;

	if (!a->in || !a->out) {
		fputs(usage, stderr);
		return 2;
	}
	bytes = data_read_csv(a->in, a->cases, a->mlp.seed, &size);
	if (!bytes)
		return 1;
	bad = write_bytes(a->out, bytes, size) || data_view(&data, bytes, size);
	if (!bad)
		printf("%u training and %u validation cases\n", data.train_count,
		       data.validation_count);
	free(bytes);
	return bad;
}

/* 17 digits: a double reads back as it was. */
static int write_metrics(const char *path, const struct mlp_result *result)
{
	FILE *file = fopen(path, "w");
	int bad = !file || fprintf(file,
				   "{\"val_accuracy\": %.17g, \"val_loss\": %.17g, "
				   "\"train_loss\": %.17g}\n",
				   result->validation.accuracy, result->validation.loss,
				   result->train_loss) < 0;

	return close_written(file, path, bad);
}

/* One line, for report: the score and what was trained. */
static int write_scores(const char *path, struct mlp_score score,
			const struct mlp_options *mlp)
{
	FILE *file = fopen(path, "w");
	int bad =
		!file || fprintf(file, "%.17g %.17g %s %.17g %u %llu\n", score.accuracy,
				 score.loss, mlp->optimizer == MLP_ADAM ? "adam" : "sgd",
				 mlp->learning_rate, mlp->hidden,
				 (unsigned long long)mlp->seed) < 0;

	return close_written(file, path, bad);
}

static int write_model(const char *path, const struct mlp *mlp)
{
	uint32_t count;
	const double *parameters = mlp_parameters(mlp, &count);

	return write_bytes(path, parameters, count * sizeof *parameters);
}

static int train_on(const struct arguments *a, const struct data *data)
{
	struct mlp *mlp = mlp_new(&a->mlp);
	struct mlp_result result;
	int bad = 0;

	if (!mlp) {
		fprintf(stderr, "digits: out of memory\n");
		return 1;
	}
	result = mlp_train(mlp, data);
	printf("train_loss %.4f  val_loss %.4f  val_accuracy %.4f\n", result.train_loss,
	       result.validation.loss, result.validation.accuracy);
	if (!isfinite(result.train_loss) || !isfinite(result.validation.loss)) {
		fprintf(stderr, "digits: training diverged, try a smaller --lr\n");
		bad = 1;
	}
	bad = bad || (a->model && write_model(a->model, mlp));
	bad = bad || (a->metrics && write_metrics(a->metrics, &result));
	bad = bad || (a->scores && write_scores(a->scores, result.validation, &a->mlp));
	mlp_free(mlp);
	return bad;
}

static int train(const struct arguments *a)
{
	struct data data;
	size_t size;
	void *bytes;
	int bad;

	if (!a->data) {
		fputs(usage, stderr);
		return 2;
	}
	bytes = read_bytes(a->data, &size);
	if (!bytes)
		return 1;
	bad = data_view(&data, bytes, size);
	if (bad)
		fprintf(stderr, "digits: %s was not written by `digits prep`\n", a->data);
	bad = bad || train_on(a, &data);
	free(bytes);
	return bad;
}

struct row {
	double accuracy, loss, rate;
	char optimizer[16];
	unsigned hidden;
	unsigned long long seed;
};

static int by_loss(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

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
	qsort(rows, (size_t)count, sizeof *rows, by_loss);
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
		.cases = 100000,
		.mlp = {.optimizer = MLP_ADAM,
			.learning_rate = 1e-2,
			.hidden = 16,
			.epochs = 8,
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
