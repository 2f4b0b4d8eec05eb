/* call.c - functions by source from a program: what one is, calls with values, files and the results of
 * other calls, and many calls that are made while they are sent.
 *
 *   cc -o call call.c $(pkg-config --cflags --libs cashet)
 *   ./call STORE FUNCTIONS.py    a file with the functions norm(xs, *, scale=1.0), add(a, b) and size(file)
 */
#include <cashet.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cashet_error e;

static void must(int code, const char *what)
{
	if (code == 0)
		return;
	fprintf(stderr, "%s: %s\n%s\n", what, e.what, e.next);
	exit(code);
}

/* No broker is needed for this, and nothing of the function is run. */
static void describe(const char *target)
{
	const struct cashet_describe what = {.targets = &target, .count = 1};
	struct cashet_descriptions *all;
	must(cashet_describe(&what, &all, &e), "describe");
	const struct cashet_description *d = &all->items[0];
	if (!d->ok) {
		fprintf(stderr, "%s:%" PRIu32 ": %s\n", d->error.file, d->error.line,
			d->error.message);
		exit(1);
	}
	printf("%s%s, %zu definitions, %zu warnings\n", strrchr(d->name, ':') + 1,
	       d->signature, d->definition_count, d->warning_count);
	cashet_descriptions_free(all);
}

static void print_results(struct cashet *c, const char *batch)
{
	struct cashet_results *results;
	const struct cashet_result *r;
	must(cashet_results_open(c, batch, &results, &e), "results");
	for (;;) {
		must(cashet_results_next(results, &r, &e), "results");
		if (!r)
			break;
		void *text = NULL;
		size_t size = 0;
		if (r->status == CASHET_COMPLETED)
			must(cashet_get_blob_memory(c, r->result.digest, 1000, &text,
						    &size, &e),
			     "get");
		printf("%" PRIu32 " %s %.*s%s\n", r->index, cashet_status_name(r->status),
		       (int)size, text ? (char *)text : "", r->error);
		free(text);
	}
	cashet_results_close(results);
}

static void wait_and_print(struct cashet *c, const char *batch)
{
	struct cashet_counts counts;
	must(cashet_wait(c, batch, NULL, &counts, &e), "wait");
	printf("executed %" PRIu64 ", cached %" PRIu64 "\n", counts.executed,
	       counts.cached);
	print_results(c, batch);
}

static struct cashet_arg number(double value)
{
	return (struct cashet_arg){.type = CASHET_ARG_FLOAT, .d = value};
}

static struct cashet_arg result_of(uint32_t index)
{
	return (struct cashet_arg){
		.type = CASHET_ARG_SOURCE,
		.source = {.kind = CASHET_SOURCE_REF, .ref = {.index = index}}};
}

/* norm([3, 4]); norm([3, 4], scale=0.5); add of both; the size of the file itself; one that fails */
static void submit(struct cashet *c, const char *file)
{
	char norm[1100], add[1100], size[1100];
	snprintf(norm, sizeof norm, "%s:norm", file);
	snprintf(add, sizeof add, "%s:add", file);
	snprintf(size, sizeof size, "%s:size", file);
	const struct cashet_arg items[] = {number(3), number(4)};
	const struct cashet_arg list = {
		.type = CASHET_ARG_LIST, .items = items, .count = 2};
	struct cashet_arg scale = number(0.5);
	scale.name = "scale";
	const struct cashet_arg both[] = {result_of(0), result_of(1)};
	const struct cashet_arg itself = {
		.type = CASHET_ARG_SOURCE,
		.source = {.kind = CASHET_SOURCE_FILE, .path = file}};
	const struct cashet_arg mixed[] = {number(1),
					   {.type = CASHET_ARG_TEXT, .text = "two"}};
	const struct cashet_task tasks[] = {
		{.call = norm, .args = &list, .arg_count = 1},
		{.call = norm,
		 .args = &list,
		 .arg_count = 1,
		 .kwargs = &scale,
		 .kwarg_count = 1},
		{.call = add, .args = both, .arg_count = 2},
		{.call = size, .args = &itself, .arg_count = 1, .fork = true},
		{.call = add, .args = mixed, .arg_count = 2},
	};
	char batch[CASHET_HEX_SIZE];
	must(cashet_submit_many(c, tasks, 5, NULL, batch, &e), "submit");
	wait_and_print(c, batch);

	/* A call that does not fit the function is no task at all. */
	const struct cashet_task wrong = {.call = add, .args = both, .arg_count = 1};
	if (cashet_submit(c, &wrong, NULL, batch, &e) != CASHET_USAGE)
		exit(99);
}

struct lines { /* of a batch file that is never whole anywhere */
	const char *file;
	int next, count;
};

static int make_lines(void *arg, void *out, size_t size, size_t *gotp,
		      struct cashet_error *error)
{
	struct lines *l = arg;
	(void)error;
	*gotp = 0;
	if (l->next < l->count) {
		int n = snprintf(out, size,
				 "{\"call\": \"%s:add\", \"args\": [%d, 1000]}\n",
				 l->file, l->next++);
		*gotp = n < 0 || (size_t)n >= size ? 0 : (size_t)n;
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: call STORE FUNCTIONS.py\n");
		return CASHET_USAGE;
	}
	struct cashet *c;
	char target[1100], batch[CASHET_HEX_SIZE];
	const struct cashet_options options = {.store = argv[1], .name = "call"};
	snprintf(target, sizeof target, "%s:norm", argv[2]);
	describe(target);
	must(cashet_open(&c, &options, &e), "open");
	submit(c, argv[2]);
	struct lines lines = {.file = argv[2], .count = 3};
	const struct cashet_stream stream = {
		.name = "lines", .read = make_lines, .arg = &lines};
	must(cashet_submit_stream(c, &stream, NULL, batch, &e), "submit");
	wait_and_print(c, batch);
	cashet_close(c);
	return 0;
}
