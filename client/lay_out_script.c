/* lay_out_script.c - the command and environment of a run that was laid out, and the script that runs
 * it. The script starts from an empty environment, so it is exact in whatever shell it is called;
 * secrets alone it takes from there. */
#include "client/lay_out.h"

#include "common/fs.h"
#include "common/json.h"
#include "common/pure/hex.h"
#include "common/task/environment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* @strings: @count of them, each with its NUL. */
static const char *const *split(const struct buf *strings, uint32_t count,
				struct keep *keep)
{
	char *text = keep_alloc(keep, strings->size + 1, 1);
	const char **list = keep_alloc(keep, (size_t)count + 1, sizeof *list);
	if (!text || !list)
		return NULL;
	memcpy(text, strings->data ? strings->data : (const uint8_t *)"", strings->size);
	for (uint32_t i = 0; i < count; i++) {
		list[i] = text;
		text += strlen(text) + 1;
	}
	return list;
}

static const char *copy(const char *text, struct keep *keep)
{
	char *to = keep_alloc(keep, strlen(text) + 1, 1);
	return to ? strcpy(to, text) : NULL;
}

static uint32_t gpus_of(const Cashet__Options *options)
{
	for (size_t i = 0; options && i < options->n_resources; i++)
		if (strcmp(options->resources[i]->name, "gpus") == 0)
			return (uint32_t)(options->resources[i]->milli / 1000);
	return 0;
}

/* A private broker's worker gets what its submitter had; elsewhere it is the worker's own. */
static bool is_private(const struct cashet *c)
{
	return c->where.dir && (!c->welcome.known || c->welcome.is_private);
}

static void add_environment(struct lay_out *l, struct buf *out, uint32_t *countp,
			    struct cashet_laid_out *laid)
{
	const struct function *f = &l->function;
	const Cashet__WhySide *side = l->about.reply->now;
	CLEANUP_BUF struct buf devices = {0};
	static const uint8_t none[DIGEST_SIZE];
	bool has_path = false;
	laid->our_env = !l->outer_count || !is_private(l->c);
	if (laid->our_env)
		has_path = environment_add_ours(out, countp, f);
	for (size_t i = 0; !laid->our_env && i < l->outer_count; i++) {
		environment_add(out, countp, f, l->outer[i]->key, l->outer[i]->value);
		has_path = has_path || !strcmp(l->outer[i]->key, "PATH");
	}
	if (!has_path)
		environment_add(out, countp, f, "PATH", ENVIRONMENT_PATH);
	laid->gpus = gpus_of(l->options);
	for (uint32_t i = 0; i < laid->gpus; i++)
		buf_printf(&devices, "%s%u", i ? "," : "", i);
	const struct environment_task task = {
		.tmp = l->tmp,
		.checkpoint = l->checkpoint,
		.name = side->name,
		.batch = wire_is(&side->batch, DIGEST_SIZE) ? side->batch.data : none,
		.index = side->index,
		.attempt = 1,
		.devices = laid->gpus ? buf_cstr(&devices) : NULL,
	};
	environment_add_task(out, countp, f, &task);
}

static void quote(struct buf *out, const char *text)
{
	shell_quote(out, text, strlen(text));
}

static void write_command(struct buf *out, const struct cashet_laid_out *laid)
{
	for (size_t i = 0; i < laid->argc; i++) {
		if (i)
			buf_add_byte(out, ' ');
		quote(out, laid->argv[i]);
	}
}

static void write_script(struct buf *out, const struct cashet_laid_out *laid)
{
	CLEANUP_BUF struct buf name = {0};
	text_escape(&name, laid->name, strlen(laid->name));
	buf_printf(out,
		   "#!/bin/sh\n"
		   "# %s, task %u of batch %.8s: exactly its command and environment.\n",
		   buf_cstr(&name), laid->index, *laid->batch ? laid->batch : "unknown");
	if (laid->secret_count)
		buf_add_str(out, "# Its secrets are taken from the environment of this "
				 "script.\n");
	buf_add_str(out, "cd ");
	quote(out, laid->task);
	buf_add_str(out, " || exit\nexec env -i");
	for (size_t i = 0; i < laid->env_count; i++) {
		buf_add_str(out, " \\\n\t");
		quote(out, laid->env[i]);
	}
	for (size_t i = 0; i < laid->secret_count; i++)
		buf_printf(out, " \\\n\t${%s+%s=\"$%s\"}", laid->secrets[i],
			   laid->secrets[i], laid->secrets[i]);
	/* env takes a program with = in its name for another variable. */
	buf_add_str(out, strchr(laid->argv[0], '=') ? " \\\n\tsh -c 'exec \"$0\" \"$@\"' "
						    : " \\\n\t");
	write_command(out, laid);
	buf_add_byte(out, '\n');
}

static int write_file(const char *path, const struct buf *text, struct err *e)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0777);
	int r = fd < 0 ? -errno : fs_write_all(fd, text->data, text->size);
	if (fd >= 0 && close(fd) < 0 && r == 0)
		r = -errno;
	return r ? err_set(e, ERR_FAILED, "%s cannot be written: %s", path, strerror(-r))
		 : 0;
}

/* It stands in the script as it is. */
static bool is_variable(const char *name)
{
	size_t size = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				   "0123456789_");
	return size && !name[size] && !(name[0] >= '0' && name[0] <= '9');
}

static void fill_in(struct lay_out *l, struct cashet_laid_out *laid, struct keep *keep)
{
	const Cashet__WhySide *side = l->about.reply->now;
	size_t count = l->options ? l->options->n_secrets : 0;
	if (wire_is(&side->batch, DIGEST_SIZE))
		hex_encode(laid->batch, side->batch.data, DIGEST_SIZE);
	laid->index = side->index;
	laid->name = copy(side->name, keep);
	laid->dir = copy(l->dir, keep);
	laid->task = copy(l->task, keep);
	laid->script = copy(l->script, keep);
	const char **secrets = keep_alloc(keep, count + 1, sizeof *secrets);
	for (size_t i = 0; secrets && i < count; i++)
		if (is_variable(l->options->secrets[i]))
			secrets[laid->secret_count++] =
				copy(l->options->secrets[i], keep);
	laid->secrets = secrets;
}

/* @s: what is in the values of its env */
static int finish(struct lay_out *l, const struct substitution *s, const struct buf *argv,
		  uint32_t argc, struct cashet_laid_out *laid, struct keep *keep,
		  struct err *e)
{
	CLEANUP_BUF struct buf env = {0};
	CLEANUP_BUF struct buf text = {0};
	uint32_t envc = 0;
	if (substitute_env(&env, &envc, s, e))
		return ERR_FAILED;
	add_environment(l, &env, &envc, laid);
	fill_in(l, laid, keep);
	laid->argv = split(argv, argc, keep);
	laid->env = split(&env, envc, keep);
	laid->argc = argc;
	laid->env_count = envc;
	if (argv->failed || env.failed || keep->failed)
		return handle_no_memory(e);
	write_command(&text, laid);
	laid->command = copy(buf_cstr(&text), keep);
	buf_reset(&text);
	write_script(&text, laid);
	if (text.failed || keep->failed)
		return handle_no_memory(e);
	return write_file(l->script, &text, e);
}

int lay_out_finish(struct lay_out *l, const struct input_paths *inputs,
		   struct cashet_laid_out *laid, struct keep *keep, struct err *e)
{
	const struct substitution s = {&l->function, &l->args, inputs};
	CLEANUP_BUF struct buf argv = {0};
	uint32_t argc = 0;
	if (substitute_command(&argv, &argc, &s, e))
		return ERR_FAILED;
	return finish(l, &s, &argv, argc, laid, keep, e);
}

int lay_out_finish_argv(struct lay_out *l, const struct buf *argv, uint32_t argc,
			struct cashet_laid_out *laid, struct keep *keep, struct err *e)
{
	const struct args none = {0};
	const struct substitution s = {&l->function, &none, NULL};
	return finish(l, &s, argv, argc, laid, keep, e);
}
