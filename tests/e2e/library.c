/* library.c - what somebody writes against an installed libcashet: two tasks, by name and by index.
 * test_library.py builds it with what pkg-config says, and runs it. */
#include <cashet.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(const char *what, const struct cashet_error *e)
{
	fprintf(stderr, "%s: %s\n%s\n", what, e->what, e->next);
	return e->code;
}

static int print_results(struct cashet *c, const char *batch, struct cashet_error *e)
{
	struct cashet_results *results;
	const struct cashet_result *r = NULL;
	int code = cashet_results_open(c, batch, &results, e);
	if (code)
		return code;
	while (!(code = cashet_results_next(results, &r, e)) && r) {
		void *text = NULL;
		size_t size = 0;
		code = cashet_get_blob_memory(c, r->output.digest, 1000, &text, &size, e);
		if (code)
			break;
		printf("%" PRIu32 " %s %s %.*s", r->index, r->name,
		       cashet_status_name(r->status), (int)size, (char *)text);
		free(text);
	}
	cashet_results_close(results);
	return code;
}

int main(int argc, char **argv)
{
	struct cashet *c;
	struct cashet_error e = {0};
	struct cashet_options options = {.store = argc > 1 ? argv[1] : NULL};
	if (cashet_open(&c, &options, &e))
		return failed("open", &e);
	const char *const echo[] = {"echo", "${p.x}"}, *const cat[] = {"cat",
								       "${inputs.i}"};
	struct cashet_param x = {.name = "x", .value = {.type = CASHET_DOUBLE, .d = 0.1}};
	struct cashet_source by_name = {.kind = CASHET_SOURCE_REF, .ref.task = "one"};
	struct cashet_source by_index = {.kind = CASHET_SOURCE_REF, .ref.index = 1};
	struct cashet_input first = {.name = "i", .sources = &by_name, .source_count = 1};
	struct cashet_input second = {
		.name = "i", .sources = &by_index, .source_count = 1};
	const struct cashet_task tasks[] = {
		{.name = "one", .argv = echo, .argc = 2, .params = &x, .param_count = 1},
		{.name = "two",
		 .argv = cat,
		 .argc = 2,
		 .inputs = &first,
		 .input_count = 1},
		{.name = "three",
		 .shell = "cat ${inputs.i}",
		 .inputs = &second,
		 .input_count = 1},
	};
	char batch[CASHET_HEX_SIZE];
	struct cashet_counts counts;
	if (cashet_submit_many(c, tasks, 3, NULL, batch, &e))
		return failed("submit", &e);
	if (cashet_wait(c, batch, NULL, &counts, &e))
		return failed("wait", &e);
	printf("total %" PRIu64 " executed %" PRIu64 " cached %" PRIu64 "\n",
	       counts.total, counts.executed, counts.cached);
	if (print_results(c, batch, &e))
		return failed("results", &e);
	/* what goes wrong is told, and nothing exits or prints */
	if (cashet_submit(c, &tasks[1], NULL, batch, &e) != CASHET_USAGE)
		return 99;
	cashet_close(c);
	return 0;
}
