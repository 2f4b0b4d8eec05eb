/* cmd_get.c - get: exact bytes to standard output or into files; a terminal is shown text only. */
#include "client/cli/cli.h"
#include "client/cli/terminal.h"

#include "common/fs.h"
#include "common/pure/hex.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(struct cli *cli, int code, const char *next, const char *fmt, ...)
	PRINTF(4, 5);

static int fail(struct cli *cli, int code, const char *next, const char *fmt, ...)
{
	struct cashet_error e = {.code = code};
	va_list args;
	va_start(args, fmt);
	vsnprintf(e.what, sizeof e.what, fmt, args);
	va_end(args);
	snprintf(e.next, sizeof e.next, "%s", next);
	return cli_fail(cli, &e);
}

/* ---- get ---- */

struct chosen {
	struct cashet_content content;
	const char *what; /* for messages */
	bool has_size;
};

static void list_outputs(const struct cashet_result *r, struct buf *out)
{
	buf_add_str(out, "its outputs: ");
	for (size_t i = 0; i < r->output_count; i++)
		buf_printf(out, "%s%s (%s)", i ? ", " : "", r->outputs[i].name,
			   r->outputs[i].path);
}

/* Return: 0; 1 several outputs and none was named; an exit code + 1000, printed. */
enum { CHOICE_SEVERAL = 1, CHOICE_FAILED = 1000 };

static int choose(struct cli *cli, const struct cashet_result *r, struct chosen *out)
{
	const struct settings *s = &cli->settings;
	CLEANUP_BUF struct buf outputs = {0};
	if (r->output_count)
		list_outputs(r, &outputs);
	*out = (struct chosen){.content = r->output, .what = "standard output"};
	if (s->want_stderr)
		*out = (struct chosen){.content = r->log, .what = "standard error"};
	else if (s->output_name) {
		size_t i = 0;
		while (i < r->output_count && strcmp(r->outputs[i].name, s->output_name))
			i++;
		if (i == r->output_count)
			return CHOICE_FAILED +
			       fail(cli, CASHET_NOT_FOUND, buf_cstr(&outputs),
				    "the task has no output \"%s\"", s->output_name);
		*out = (struct chosen){.content = r->outputs[i].content,
				       .what = s->output_name};
	} else if (!s->want_stdout && r->output_count == 1) {
		*out = (struct chosen){.content = r->outputs[0].content,
				       .what = r->outputs[0].name};
	} else if (!s->want_stdout && r->output_count > 1) {
		return CHOICE_SEVERAL;
	} else if (!s->want_stdout && r->result.type != CASHET_CONTENT_NONE) {
		out->content = r->result;
	}
	/* What a failed task printed is no result; asked for by its name, it is given. */
	bool failed = r->status == CASHET_TASK_FAILED;
	bool named = s->want_stdout || s->want_stderr || s->output_name;
	if ((failed && !named) || out->content.type == CASHET_CONTENT_NONE) {
		CLEANUP_BUF struct buf next = {0};
		buf_add_str(&next, *r->error ? r->error : "");
		if (!named && r->output.type != CASHET_CONTENT_NONE)
			buf_printf(&next, "%swhat it printed: --stdout, --stderr",
				   next.size ? "; " : "");
		return CHOICE_FAILED +
		       fail(cli, CASHET_NOT_FOUND, next.size ? buf_cstr(&next) : "",
			    "there is no %s: the task %s%s", named ? out->what : "result",
			    failed ? "failed" : "is ",
			    failed ? "" : cashet_status_name(r->status));
	}
	out->has_size = true;
	return 0;
}

static int cannot_write(struct cli *cli, const char *path, int error)
{
	return fail(cli, CASHET_FAILED, "", "%s cannot be written: %s", path,
		    strerror(error));
}

/* Into a new file beside it, so that what was there stays whole if the bytes do not come. */
static int write_file(struct cli *cli, const struct cashet_content *content,
		      const char *path)
{
	struct cashet_error e;
	char *temporary = NULL;
	if (asprintf(&temporary, "%s.part.%d", path, (int)getpid()) < 0)
		abort();
	int code = 0;
	mode_t fresh = content->type == CASHET_CONTENT_EXEC ? 0777 : 0666;
	int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
		      fs_output_mode(path, fresh));
	if (fd < 0) {
		code = cannot_write(cli, path, errno);
	} else {
		if (cashet_get_blob_fd(cli->c, content->digest, fd, &e))
			code = cli_fail(cli, &e);
		fs_output_like(fd, path);
		if (close(fd) < 0 && code == 0)
			code = cannot_write(cli, path, errno);
		if (code == 0 && rename(temporary, path) < 0)
			code = cannot_write(cli, path, errno);
		if (code)
			unlink(temporary);
	}
	free(temporary);
	return code;
}

/* To a descriptor that stays open: standard output, a device, a pipe. */
static int write_fd(struct cli *cli, const struct cashet_content *content, int fd)
{
	struct cashet_error e;
	return cashet_get_blob_fd(cli->c, content->digest, fd, &e) ? cli_fail(cli, &e)
								   : 0;
}

static int write_path(struct cli *cli, const struct cashet_content *content,
		      const char *path)
{
	char *real;
	int fd, rc = fs_output_find(path, &real, &fd);
	if (rc)
		return cannot_write(cli, path, -rc);
	int code = real ? write_file(cli, content, real) : write_fd(cli, content, fd);
	if (fd >= 0 && close(fd) < 0 && code == 0)
		code = cannot_write(cli, path, errno);
	free(real);
	return code;
}

/* Text and JSON are for people; of anything else they are told what it is. */
static int write_terminal(struct cli *cli, const struct cashet_content *content)
{
	struct terminal t = {.fd = STDOUT_FILENO, .refuse_binary = true};
	CLEANUP_BUF struct buf out = {0};
	struct cashet_error e;
	char hex[CASHET_HEX_SIZE];
	int code = 0;
	bool failed =
		cashet_get_blob(cli->c, content->digest, terminal_write, &t, &e) != 0;
	int end = failed ? 0 : terminal_end(&t);
	if (!failed && !end && !t.is_binary && content->type == CASHET_CONTENT_JSON) {
		buf_add_byte(&out, '\n'); /* it has none of its own */
		code = cli_write(cli, &out);
	}
	/* What a function returned has no line end of its own. */
	if (!failed && !end && content->type == CASHET_CONTENT_JSON && t.text.size &&
	    t.text.data[t.text.size - 1] != '\n')
		end = fs_write_all(STDOUT_FILENO, "\n", 1);
	if (t.is_binary) {
		buf_add_str(&out, content->type == CASHET_CONTENT_PICKLE
					  ? "a Python pickle, "
					  : "binary, ");
		if (content->size) /* of an input it is not recorded */
			show_size(&out, content->size);
		buf_printf(&out, "%s%s\n", content->size ? ", " : "",
			   hex_encode(hex, content->digest, 32));
		code = cli_write(cli, &out);
		cli_note(cli, content->type == CASHET_CONTENT_PICKLE
				      ? "to write it to a file: -o FILE; unpickle only "
					"what you trust"
				      : "to write it to a file: -o FILE");
	} else if (failed) {
		code = cli_fail(cli, &e);
	} else if (end) {
		code = fail(cli, CASHET_FAILED, "",
			    "standard output cannot be written: %s", strerror(-end));
	}
	terminal_fini(&t);
	return code;
}

static int write_content(struct cli *cli, const struct cashet_content *content,
			 const char *path)
{
	struct cashet_error e;
	bool standard = !path || strcmp(path, "-") == 0;
	if (content->type == CASHET_CONTENT_TREE) {
		if (standard)
			return cli_usage(cli, "name a new one: -o DIR",
					 "that is a folder, not a file");
		return cashet_get_tree(cli->c, content->digest, path, &e)
			       ? cli_fail(cli, &e)
			       : 0;
	}
	if (!standard)
		return write_path(cli, content, path);
	if (!path && cli->tty_out)
		return write_terminal(cli, content);
	return write_fd(cli, content, STDOUT_FILENO);
}

/* All outputs below a new folder, at their own paths. */
static int write_outputs(struct cli *cli, const struct cashet_result *r,
			 const char *folder)
{
	if (mkdir(folder, 0777) < 0)
		return fail(cli, CASHET_FAILED,
			    errno == EEXIST ? "name a folder that does not exist yet"
					    : "",
			    "%s cannot be made: %s", folder, strerror(errno));
	int code = 0;
	for (size_t i = 0; code == 0 && i < r->output_count; i++) {
		char *path = NULL;
		if (!fs_path_is_inside(r->outputs[i].path))
			return fail(cli, CASHET_FAILED, "",
				    "output %s has a path that leads outside",
				    r->outputs[i].name);
		if (asprintf(&path, "%s/%s", folder, r->outputs[i].path) < 0)
			abort();
		char *slash = strrchr(path, '/');
		*slash = '\0';
		int made = fs_mkdir_p(path, 0777);
		*slash = '/';
		if (made < 0)
			code = fail(cli, CASHET_FAILED, "", "%s cannot be made: %s", path,
				    strerror(-made));
		else
			code = write_content(cli, &r->outputs[i].content, path);
		free(path);
	}
	return code;
}

static int json_got(struct cli *cli, const struct cashet_result *r,
		    const struct chosen *c, const char *path)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	json_begin(&j, &out);
	json_hash(&j, "digest", c != NULL, c ? c->content.digest : NULL);
	json_key(&j, "size");
	if (c && c->has_size)
		json_uint(&j, c->content.size);
	else
		json_null(&j);
	json_key(&j, "file");
	if (path)
		json_string(&j, path);
	else
		json_null(&j);
	json_key(&j, "task");
	json_result(&j, r);
	return json_finish(cli, &j);
}

/* What else an input may be than a file or a folder: it cannot be written, but others can. */
static int not_one(struct cli *cli, const struct cashet_shown *shown,
		   const struct cashet_origin *o)
{
	char next[CASHET_HEX_SIZE + 64], hex[SHORT_HASH + 1];
	if (o->content.type == CASHET_CONTENT_NONE)
		return fail(
			cli, CASHET_NOT_FOUND, "",
			"input %s is a path that workers have: it is not in the store",
			o->name);
	if (o->content.type == CASHET_CONTENT_RESULT && o->source_count == 1) {
		show_short(hex, shown->sources[o->sources[0]].commit);
		snprintf(next, sizeof next, "they are those of cashet get %s", hex);
		return cli_usage(cli, next, "input %s is all outputs of a task", o->name);
	}
	show_short(hex, shown->commit.commit);
	snprintf(next, sizeof next, "cashet shell %s --dir DIR lays all inputs out", hex);
	return cli_usage(cli, next, "input %s is no single file or folder", o->name);
}

static int get_origin(struct cli *cli, const struct cashet_shown *shown,
		      const struct cashet_origin *o)
{
	const struct settings *s = &cli->settings;
	const struct chosen chosen = {.content = o->content};
	if (o->content.type == CASHET_CONTENT_NONE ||
	    o->content.type == CASHET_CONTENT_LIST ||
	    o->content.type == CASHET_CONTENT_RESULT)
		return not_one(cli, shown, o);
	int code = 0;
	if (s->output_file || !s->json)
		code = write_content(cli, &o->content, s->output_file);
	if (code || !s->json)
		return code;
	return json_got(cli, shown->result, &chosen, s->output_file);
}

/* What the task read. */
static int get_input(struct cli *cli)
{
	const char *name = cli->settings.input_name;
	CLEANUP_BUF struct buf inputs = {0};
	struct cashet_shown *shown;
	struct cashet_error e;
	const struct cashet_origin *found = NULL;
	if (cashet_show(cli->c, cli->words.items[0], &shown, &e))
		return cli_fail(cli, &e);
	for (size_t i = 0; i < shown->input_count; i++) {
		const struct cashet_origin *o = &shown->inputs[i];
		buf_printf(&inputs, "%s%s", i ? ", " : "its inputs: ", o->name);
		if (strcmp(o->name, name) == 0)
			found = o;
	}
	int code = found ? get_origin(cli, shown, found)
			 : fail(cli, CASHET_NOT_FOUND,
				inputs.size ? buf_cstr(&inputs) : "it has none",
				"the task has no input \"%s\"", name);
	cashet_shown_free(shown);
	return code;
}

static int get(struct cli *cli, const struct cashet_result *r)
{
	const struct settings *s = &cli->settings;
	const char *path = s->output_file;
	struct chosen chosen;
	int choice = choose(cli, r, &chosen), code = 0;
	if (choice >= CHOICE_FAILED)
		return choice - CHOICE_FAILED;
	bool to_stream = path ? strcmp(path, "-") == 0 : !s->json;
	if (choice == CHOICE_SEVERAL && to_stream) {
		CLEANUP_BUF struct buf outputs = {0};
		list_outputs(r, &outputs);
		return cli_usage(
			cli, buf_cstr(&outputs),
			"the task has %zu outputs: name one with --output NAME, or a new "
			"folder for all with -o DIR",
			r->output_count);
	}
	if (choice == CHOICE_SEVERAL && path)
		code = write_outputs(cli, r, path);
	else if (choice == 0 && (path || !s->json))
		code = write_content(cli, &chosen.content, path);
	if (code || !s->json)
		return code;
	return json_got(cli, r, choice ? NULL : &chosen, path);
}

int get_result(struct cli *cli, const struct cashet_result *r)
{
	return get(cli, r);
}

int cmd_get(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	char batch[CASHET_HEX_SIZE];
	uint32_t index;
	struct cashet_error e;
	struct cashet_results *results = NULL;
	const struct cashet_result *r;
	if (s->want_stdout + s->want_stderr + (s->output_name != NULL) +
		    (s->input_name != NULL) >
	    1)
		return cli_usage(cli, "",
				 "one of --output, --input, --stdout and --stderr");
	int form = cli_task(cli, cli->words.items[0], batch, &index);
	if (form == 2)
		return CASHET_USAGE;
	cli_catch();
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (s->input_name)
		return get_input(cli);
	if (form ? cashet_commit_find(cli->c, cli->words.items[0], &results, &r, &e)
		 : cashet_result_one(cli->c, batch, index, &results, &r, &e))
		return cli_fail(cli, &e);
	code = get(cli, r);
	cashet_results_close(results);
	return code;
}
