/* cmd_logs.c - logs: what a task wrote, also while it runs. */
#include "client/cli/cli.h"
#include "client/cli/terminal.h"

#include "common/fs.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FOLLOW_PAUSE_NS 200000000

struct stream {
	int fd;
	bool escape; /* a terminal */
	uint64_t offset;
	struct terminal terminal;
};

static int write_log(void *arg, const void *data, size_t size)
{
	struct stream *s = arg;
	s->offset += size;
	return s->escape ? terminal_write(&s->terminal, data, size)
			 : fs_write_all(s->fd, data, size);
}

static bool has_ended(struct cli *cli, const char *batch, uint32_t index)
{
	struct cashet_results *results;
	const struct cashet_result *r;
	if (cashet_result_one(cli->c, batch, index, &results, &r, NULL))
		return true; /* the next look says why */
	bool ended = r->status >= CASHET_COMPLETED;
	cashet_results_close(results);
	return ended;
}

/* Both streams at once: turn by turn, until a look that began after the end has seen all. */
static int follow_both(struct cli *cli, const char *batch, uint32_t index,
		       struct stream *out, struct stream *err)
{
	struct cashet_error e;
	for (;;) {
		bool last = has_ended(cli, batch, index);
		for (int i = 0; i < 2; i++) {
			struct stream *s = i ? err : out;
			struct cashet_log_options options = {.is_stderr = i,
							     .offset = s->offset};
			int r = cashet_log(cli->c, batch, index, &options, write_log, s,
					   &e);
			if (r && !(r == CASHET_NOT_FOUND && !last))
				return cli_fail(cli, &e);
		}
		if (last)
			return 0;
		struct timespec pause = {.tv_nsec = FOLLOW_PAUSE_NS};
		nanosleep(&pause, NULL);
	}
}

static int read_logs(struct cli *cli, const char *batch, uint32_t index,
		     struct stream *out, struct stream *err)
{
	const struct settings *s = &cli->settings;
	struct cashet_error e;
	bool both = s->want_stdout == s->want_stderr;
	if (both && s->follow)
		return follow_both(cli, batch, index, out, err);
	for (int i = 0; i < 2; i++) {
		struct cashet_log_options options = {.is_stderr = i, .follow = s->follow};
		if (!both && i != s->want_stderr)
			continue;
		if (cashet_log(cli->c, batch, index, &options, write_log, i ? err : out,
			       &e))
			return cli_fail(cli, &e);
	}
	return 0;
}

static int collect(void *arg, const void *data, size_t size)
{
	buf_add(arg, data, size);
	return 0;
}

static int json_logs(struct cli *cli, const char *batch, uint32_t index)
{
	const struct settings *s = &cli->settings;
	bool both = s->want_stdout == s->want_stderr;
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_begin(&j, &out);
	for (int i = 0; i < 2; i++) {
		struct cashet_log_options options = {.is_stderr = i, .follow = s->follow};
		CLEANUP_BUF struct buf text = {0};
		struct cashet_error e;
		if (!both && i != s->want_stderr)
			continue;
		if (cashet_log(cli->c, batch, index, &options, collect, &text, &e))
			return cli_fail(cli, &e);
		json_key(&j, i ? "stderr" : "stdout");
		json_string_n(&j, (const char *)text.data, text.size);
	}
	return json_finish(cli, &j);
}

int cmd_logs(struct cli *cli)
{
	char batch[CASHET_HEX_SIZE];
	uint32_t index;
	int form = cli_task(cli, cli->words.items[0], batch, &index);
	if (form == 1)
		return cli_usage(cli, "",
				 "\"%s\" is not a task: BATCH:INDEX, for example b7f3:12",
				 cli->words.items[0]);
	if (form)
		return CASHET_USAGE;
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cli->settings.json)
		return json_logs(cli, batch, index);
	/* With only one of them wanted, it is the product. */
	bool only_err = cli->settings.want_stderr && !cli->settings.want_stdout;
	struct stream out = {.fd = STDOUT_FILENO, .escape = cli->tty_out};
	struct stream err = {.fd = only_err ? STDOUT_FILENO : STDERR_FILENO,
			     .escape = only_err ? cli->tty_out : cli->tty_err};
	out.terminal.fd = out.fd;
	err.terminal.fd = err.fd;
	code = read_logs(cli, batch, index, &out, &err);
	terminal_end(&out.terminal);
	terminal_end(&err.terminal);
	terminal_fini(&out.terminal);
	terminal_fini(&err.terminal);
	return code;
}
