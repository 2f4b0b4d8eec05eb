/* cli.c - see cli.h. */
#include "client/cli/cli.h"

#include "common/clock.h"
#include "common/fs.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t caught;
static uint64_t given_up_ns = UINT64_MAX; /* from then on it is as if a signal had come */

static void note_signal(int sig)
{
	caught = sig;
}

/* Without SA_RESTART, so that whatever waits looks at cli_interrupted(). */
void cli_catch(void)
{
	struct sigaction action = {.sa_handler = note_signal};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
}

bool cli_interrupted(void *arg)
{
	return caught != 0 ||
	       (given_up_ns != UINT64_MAX && clock_mono_ns() >= given_up_ns);
}

void cli_forget_interrupt(uint64_t patience_ns)
{
	caught = 0;
	given_up_ns = clock_mono_ns() + patience_ns;
}

int cli_fail_err(const struct cli *cli, const struct err *e)
{
	err_print(e, cli->program);
	return e->code;
}

int cli_fail(const struct cli *cli, const struct cashet_error *e)
{
	struct err copy;
	err_set(&copy, (enum err_code)e->code, "%s", e->what);
	err_next(&copy, "%s", e->next);
	return cli_fail_err(cli, &copy);
}

int cli_usage(const struct cli *cli, const char *next, const char *fmt, ...)
{
	struct err e;
	char what[sizeof e.what];
	va_list args;
	va_start(args, fmt);
	vsnprintf(what, sizeof what, fmt, args);
	va_end(args);
	err_set(&e, ERR_USAGE, "%s", what);
	err_next(&e, "%s", next);
	return cli_slip(cli, &e);
}

int cli_slip(const struct cli *cli, struct err *e)
{
	if (!*e->next)
		err_next(e, "%s%s%s --help explains it", cli->program,
			 cli->command ? " " : "", cli->command ? cli->command : "");
	return cli_fail_err(cli, e);
}

/* NO_COLOR as in no-color.org: any value but the empty one. */
static bool wants_color(const struct cli *cli, bool tty)
{
	const char *when = cli->settings.color, *no = getenv("NO_COLOR"),
		   *term = getenv("TERM");
	if (when && strcmp(when, "always") == 0)
		return true;
	if ((when && strcmp(when, "never") == 0) || (no && *no))
		return false;
	return tty && !(term && strcmp(term, "dumb") == 0);
}

void cli_look(struct cli *cli)
{
	cli->tty_out = isatty(STDOUT_FILENO);
	cli->tty_err = isatty(STDERR_FILENO);
	cli->color_out = wants_color(cli, cli->tty_out);
	cli->color_err = wants_color(cli, cli->tty_err);
}

int cli_connect(const struct cli *cli, bool must_exist, bool no_wait, struct cashet **cp,
		struct cashet_error *e)
{
	const struct settings *s = &cli->settings;
	struct cashet_options options = {
		.broker = s->broker,
		.store = s->store,
		.key_file = s->key,
		.insecure = s->insecure,
		.must_exist = must_exist,
		.name = cli->program,
		.no_wait = no_wait,
		.interrupted = cli_interrupted,
	};
	return cashet_open(cp, &options, e);
}

int cli_open(struct cli *cli, bool must_exist, bool no_wait)
{
	struct cashet_error e;
	cli_look(cli);
	return cli_connect(cli, must_exist, no_wait, &cli->c, &e) ? cli_fail(cli, &e) : 0;
}

void cli_note(const struct cli *cli, const char *fmt, ...)
{
	if (cli->settings.quiet)
		return;
	va_list args;
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

int cli_write(const struct cli *cli, struct buf *out)
{
	int r = out->failed ? -ENOMEM : fs_write_all(STDOUT_FILENO, out->data, out->size);
	buf_reset(out);
	if (cli->pager && r == -EPIPE)
		return CLI_LEFT;
	if (r == 0)
		return 0;
	struct cashet_error e = {.code = CASHET_FAILED};
	snprintf(e.what, sizeof e.what, "standard output cannot be written: %s",
		 strerror(-r));
	return cli_fail(cli, &e);
}

int cli_task(const struct cli *cli, const char *word, char batch[CASHET_HEX_SIZE],
	     uint32_t *index)
{
	const char *colon = strchr(word, ':');
	if (!colon)
		return 1;
	size_t size = (size_t)(colon - word);
	char *end;
	errno = 0;
	unsigned long long value = strtoull(colon + 1, &end, 10);
	if (size >= CASHET_HEX_SIZE || errno || *end || colon[1] < '0' ||
	    colon[1] > '9' || value >= UINT32_MAX) {
		cli_usage(cli, "",
			  "\"%s\" is not a task: BATCH:INDEX, for example b7f3:12", word);
		return 2;
	}
	memcpy(batch, word, size);
	batch[size] = '\0';
	*index = (uint32_t)value;
	return 0;
}
