/* cmd_why.c - why a task ran, was a hit, waits, was skipped or failed. */
#include "client/cli/show_why.h"

#include "common/clock.h"

static int json_why(struct cli *cli, const struct cashet_why *w)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_begin(&j, &out);
	json_key(&j, "verdict");
	json_string(&j, cashet_verdict_name(w->verdict));
	json_key(&j, "reason");
	if (w->reason == CASHET_REASON_UNKNOWN)
		json_null(&j);
	else
		json_string(&j, cashet_reason_name(w->reason));
	json_run(&j, "run", &w->run, true);
	json_run(&j, "earlier", &w->earlier, w->has_earlier);
	json_key(&j, "changes");
	json_array(&j);
	for (size_t i = 0; i < w->change_count; i++)
		json_change(&j, &w->changes[i]);
	json_end_array(&j);
	json_key(&j, "tasks");
	json_array(&j);
	for (size_t i = 0; i < w->task_count; i++) {
		json_object(&j);
		json_key(&j, "index");
		json_uint(&j, w->tasks[i].index);
		json_key(&j, "name");
		json_string(&j, w->tasks[i].name);
		json_key(&j, "status");
		json_string(&j, cashet_status_name(w->tasks[i].status));
		json_end_object(&j);
	}
	json_end_array(&j);
	json_key(&j, "tasks_left_out");
	json_uint(&j, w->tasks_left_out);
	json_key(&j, "note");
	if (*w->note)
		json_string(&j, w->note);
	else
		json_null(&j);
	return json_finish(cli, &j);
}

int cmd_why(struct cli *cli)
{
	struct cashet_why *why;
	struct cashet_error e;
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cashet_why(cli->c, cli->words.items[0], &why, &e))
		return cli_fail(cli, &e);
	if (cli->settings.json) {
		code = json_why(cli, why);
	} else {
		CLEANUP_BUF struct buf out = {0};
		show_why(&out, why, clock_wall_ms(), cli->color_out);
		code = cli_write(cli, &out);
	}
	cashet_why_free(why);
	return code;
}
