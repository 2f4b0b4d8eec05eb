/* cmd_call.c - submit FILE:FUNCTION ARG...: one call, and its result. */
#include "client/cli/arguments.h"
#include "client/cli/show_why.h"
#include "client/cli/submitting.h"

#include <stdlib.h>
#include <string.h>

static int set_isolation(struct cli *cli, struct cashet_task *task)
{
	const char *how = cli->settings.isolation;
	if (how && strcmp(how, "shared") && strcmp(how, "fork"))
		return cli_usage(cli, "", "--isolation is shared or fork, not \"%.100s\"",
				 how);
	task->fork = how && !strcmp(how, "fork");
	return 0;
}

/* once() - @args[@count] has no name that one before it has. */
static int once(struct cli *cli, const struct cashet_arg *args, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(args[i].name, args[count].name))
			return cli_usage(cli, "", "--kw gives \"%.100s\" twice",
					 args[i].name);
	return 0;
}

static int make_task(struct arguments *a, struct cashet_task *task)
{
	struct cli *cli = a->cli;
	const struct settings *s = &cli->settings;
	size_t count = cli->words.count - 1;
	struct cashet_arg *args = arena_calloc(&a->arena, count, sizeof *args);
	struct cashet_arg *kwargs =
		arena_calloc(&a->arena, s->keywords.count, sizeof *kwargs);
	if (!args || !kwargs)
		abort();
	*task = (struct cashet_task){
		.call = cli->words.items[0],
		.args = args,
		.arg_count = count,
		.kwargs = kwargs,
		.kwarg_count = s->keywords.count,
		.python = s->python,
		.cflags = s->cflags.items,
		.cflag_count = s->cflags.count,
		.timeout_ns = s->task_timeout_ns,
		.retries = s->retries > UINT32_MAX ? UINT32_MAX : (uint32_t)s->retries,
	};
	int code = set_isolation(cli, task);
	for (size_t i = 0; code == 0 && i < count; i++)
		code = argument_parse(a, cli->words.items[i + 1], &args[i]);
	for (size_t i = 0; code == 0 && i < s->keywords.count; i++) {
		code = argument_keyword(a, s->keywords.items[i], &kwargs[i]);
		if (code == 0)
			code = once(cli, kwargs, i);
	}
	return code;
}

static int print_result(struct cli *cli, const char *batch)
{
	struct cashet_results *results;
	const struct cashet_result *r;
	struct cashet_error e;
	if (cashet_result_one(cli->c, batch, 0, &results, &r, &e))
		return cli_fail(cli, &e);
	int code = get_result(cli, r);
	cashet_results_close(results);
	return code;
}

/* failed() - the line that says so is chatter; with --quiet it is told as an error is. */
static int failed(struct cli *cli, const char *batch, int code)
{
	struct cashet_results *results;
	const struct cashet_result *r;
	struct err e;
	if (!cli->settings.quiet ||
	    cashet_result_one(cli->c, batch, 0, &results, &r, NULL))
		return code;
	err_set(&e, (enum err_code)code, "%s: %s", r->name,
		*r->error ? r->error : "cancelled");
	err_next(&e, "cashet logs %.*s:0 prints what it wrote", SHORT_HASH, batch);
	cashet_results_close(results);
	return cli_fail_err(cli, &e);
}

/* Standard output is the result and nothing else: x=$(cashet submit f.py:f 3). */
static int follow(struct cli *cli, const char *batch)
{
	struct cashet_counts counts;
	bool paused = false;
	cli->name_is_chatter = true;
	int code = follow_batch(cli, batch, true, 0, &counts, &paused);
	if (code)
		return code;
	code = follow_outcome(&counts);
	return code ? failed(cli, batch, code) : print_result(cli, batch);
}

static int submit(struct cli *cli, const struct cashet_task *task,
		  const struct cashet_submit_options *options)
{
	const struct settings *s = &cli->settings;
	struct cashet_error e;
	char batch[CASHET_HEX_SIZE];
	if (s->dry_run)
		return dry_run(cli, &(struct dry_run_what){.tasks = task, .count = 1},
			       options);
	if (cashet_submit(cli->c, task, options, batch, &e))
		return cli_fail(cli, &e);
	if (s->detach)
		return submitting_name(cli, batch);
	return s->json ? submitting_follow(cli, batch, true) : follow(cli, batch);
}

int submit_call(struct cli *cli, const struct cashet_submit_options *options)
{
	struct arguments a = {.cli = cli};
	struct cashet_task task;
	struct cashet_submit_options named = *options;
	if (!named.name)
		named.name = cli->words.items[0];
	if (cli->settings.format)
		return cli_usage(cli, "", "--format is for batch files");
	cli_catch();
	int code = cli_open(cli, false, true);
	if (code == 0)
		code = make_task(&a, &task);
	if (code == 0)
		code = submit(cli, &task, &named);
	arguments_fini(&a);
	return code;
}
