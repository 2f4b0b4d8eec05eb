/* cmd_shell.c - shell: the directory, inputs and environment of one task, and a shell in it. What is
 * laid out goes away with the shell unless it is to be kept. */
#include "client/cli/cli.h"

#include "common/fs.h"
#include "common/pure/mem.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Of whoever sits there, for an interactive shell only: a task has none of these. */
static const char *const of_terminal[] = {"TERM", "COLORTERM", "SHELL",
					  "USER", "LOGNAME",   "DISPLAY"};

static bool has_variable(const struct cashet_laid_out *l, const char *name)
{
	size_t size = strlen(name);
	for (size_t i = 0; i < l->env_count; i++)
		if (strncmp(l->env[i], name, size) == 0 && l->env[i][size] == '=')
			return true;
	return false;
}

/* NULL-ended; the added texts are leaked to the process that is about to begin, or to our end. */
static const char **environment(const struct cashet_laid_out *l, bool interactive)
{
	size_t count = l->env_count;
	const char **env = mem_alloc((count + ARRAY_LEN(of_terminal) + 1) * sizeof *env);
	memcpy(env, l->env, count * sizeof *env);
	for (size_t i = 0; interactive && i < ARRAY_LEN(of_terminal); i++) {
		const char *value = getenv(of_terminal[i]);
		char *text;
		if (!value || has_variable(l, of_terminal[i]))
			continue;
		if (asprintf(&text, "%s=%s", of_terminal[i], value) < 0)
			abort();
		env[count++] = text;
	}
	return env;
}

static void become(const struct cashet_laid_out *l, const char *command)
{
	const char *shell = getenv("SHELL");
	if (command || !shell || shell[0] != '/')
		shell = "/bin/sh";
	const char *argv[] = {shell, command ? "-c" : NULL, command, NULL};
	const char **env = environment(l, !command);
	if (chdir(l->task) == 0)
		execve(shell, (char *const *)argv, (char *const *)env);
	fprintf(stderr, "cashet: %s cannot be started: %s\n", shell, strerror(errno));
	_exit(127);
}

/* Ctrl-C is for what runs in it; if somebody ends us, it is ended too. */
static int wait_for(pid_t child)
{
	bool told = false;
	int status;
	while (waitpid(child, &status, 0) < 0) {
		if (errno != EINTR)
			return ERR_FAILED;
		if (cli_interrupted(NULL) && !told) {
			kill(child, SIGHUP);
			kill(child, SIGTERM);
			told = true;
		}
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run(const struct cashet_laid_out *l, const char *command)
{
	struct sigaction ignore = {.sa_handler = SIG_IGN}, was_int, was_quit;
	fflush(NULL);
	sigaction(SIGINT, &ignore, &was_int);
	sigaction(SIGQUIT, &ignore, &was_quit);
	pid_t child = fork();
	if (child == 0) {
		struct sigaction usual = {.sa_handler = SIG_DFL};
		sigaction(SIGINT, &usual, NULL);
		sigaction(SIGQUIT, &usual, NULL);
		sigaction(SIGTERM, &usual, NULL);
		sigaction(SIGHUP, &usual, NULL);
		become(l, command);
	}
	int code = child < 0 ? ERR_FAILED : wait_for(child);
	sigaction(SIGINT, &was_int, NULL);
	sigaction(SIGQUIT, &was_quit, NULL);
	return code;
}

/* ---- saying what is there ---- */

static void tell(const struct cli *cli, const struct cashet_laid_out *l)
{
	CLEANUP_BUF struct buf text = {0};
	CLEANUP_BUF struct buf secrets = {0};
	text_escape(&text, l->name, strlen(l->name));
	cli_note(cli, "task %.*s:%u %s", SHORT_HASH, l->batch, l->index, buf_cstr(&text));
	cli_note(cli, "  directory  %s", l->task);
	buf_reset(&text);
	text_escape(&text, l->command, strlen(l->command));
	cli_note(cli, "  command    %s", buf_cstr(&text));
	cli_note(cli, "  ../run     runs exactly that, with exactly its environment");
	for (size_t i = 0; i < l->secret_count; i++)
		buf_printf(&secrets, "%s%s", i ? ", " : "", l->secrets[i]);
	if (l->secret_count)
		cli_note(cli, "  secrets    not laid out: set %s yourself",
			 buf_cstr(&secrets));
	if (l->our_env)
		cli_note(cli,
			 "  PATH, HOME, LANG, VIRTUAL_ENV are those of this machine");
	if (l->gpus)
		cli_note(cli, "  CUDA_VISIBLE_DEVICES names the first %u of this machine",
			 l->gpus);
}

static void json_texts(struct json *j, const char *key, const char *const *texts,
		       size_t count)
{
	json_key(j, key);
	json_array(j);
	for (size_t i = 0; i < count; i++)
		json_string(j, texts[i]);
	json_end_array(j);
}

static void json_field(struct json *j, const char *key, const char *text)
{
	json_key(j, key);
	if (*text)
		json_string(j, text);
	else
		json_null(j);
}

static int print_json(struct cli *cli, const struct cashet_laid_out *l)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_begin(&j, &out);
	json_field(&j, "batch", l->batch);
	json_key(&j, "index");
	json_uint(&j, l->index);
	json_field(&j, "name", l->name);
	json_field(&j, "dir", l->dir);
	json_field(&j, "task", l->task);
	json_field(&j, "run", l->script);
	json_field(&j, "command", l->command);
	json_texts(&j, "argv", l->argv, l->argc);
	json_texts(&j, "env", l->env, l->env_count);
	json_texts(&j, "secrets", l->secrets, l->secret_count);
	return json_finish(cli, &j);
}

/* ---- the command ---- */

static char *new_folder(struct cli *cli)
{
	const char *root = getenv("TMPDIR");
	char *path;
	struct err e;
	if (asprintf(&path, "%s/cashet-shell-XXXXXX", root && *root ? root : "/var/tmp") <
	    0)
		abort();
	if (mkdtemp(path))
		return path;
	err_set(&e, ERR_FAILED, "%s cannot be made: %s", path, strerror(errno));
	err_next(&e, "--dir says where to lay the task out");
	cli_fail_err(cli, &e);
	free(path);
	return NULL;
}

static int open_shell(struct cli *cli, const struct cashet_laid_out *l, bool kept)
{
	const struct settings *s = &cli->settings;
	if (s->json)
		return print_json(cli, l);
	if (!s->shell_command)
		tell(cli, l);
	/* Not held open by somebody who thinks: a private broker may end meanwhile. */
	cashet_close(steal(cli->c));
	int code = run(l, s->shell_command);
	if (kept && !s->shell_command)
		cli_note(cli, "kept: %s", l->dir);
	return code;
}

int cmd_shell(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	struct cashet_laid_out *l;
	struct cashet_error e;
	bool kept = s->keep || s->dir || s->json;
	if (s->json && s->shell_command)
		return cli_usage(cli, "", "--json or --command, not both");
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	CLEANUP_FREE char *made = s->dir ? NULL : new_folder(cli);
	const char *dir = s->dir ? s->dir : made;
	if (!dir)
		return ERR_FAILED;
	int failed = cashet_lay_out(cli->c, cli->words.items[0], dir, &l, &e);
	if (failed) {
		code = cli_fail(cli, &e);
	} else {
		code = open_shell(cli, l, kept);
		cashet_laid_out_free(l);
	}
	if (made && (failed || !kept))
		fs_remove_tree(made);
	return code;
}
