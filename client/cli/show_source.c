/* show_source.c - see show_source.h. */
#include "client/cli/show_source.h"

#include "common/pure/hex.h"

#include <inttypes.h>
#include <string.h>

static void add_hex(struct buf *out, const uint8_t digest[32])
{
	char hex[CASHET_HEX_SIZE];
	buf_add_str(out, hex_encode(hex, digest, 32));
}

/* As one would type it; it is not run, so only what a reader could misunderstand is quoted. */
static void add_word(const struct cli *cli, struct buf *out, const char *word)
{
	bool plain = *word && !strpbrk(word, " \t\n'\"\\");
	buf_add_str(out, plain ? " " : " '");
	show_text(cli, out, word);
	buf_add_str(out, plain ? "" : "'");
}

static void add_unit(const struct cli *cli, struct buf *out,
		     const struct cashet_source_unit *u, bool is_call)
{
	buf_add_str(out, is_call ? "  call   " : "  script ");
	show_text(cli, out, u->path);
	if (u->name) {
		buf_add_byte(out, ':');
		show_text(cli, out, u->name);
	}
	buf_printf(out, "  %s", u->language);
	if (u->file && strcmp(u->file, u->path) == 0) {
		buf_printf(out, "  line %" PRIu32, u->line);
	} else if (u->file) {
		buf_add_str(out, "  ");
		show_text(cli, out, u->file);
		buf_printf(out, " line %" PRIu32, u->line);
	}
	buf_add_str(out, "\n  hash   ");
	add_hex(out, u->identity);
	buf_add_byte(out, '\n');
	for (size_t i = 0; i < u->package_count; i++) {
		if (!u->packages[i].counts)
			continue;
		buf_add_str(out, "  with   ");
		show_text(cli, out, u->packages[i].name);
		buf_add_byte(out, ' ');
		show_text(cli, out,
			  u->packages[i].version ? u->packages[i].version
						 : "(version unknown)");
		buf_add_byte(out, '\n');
	}
	if (u->flag_count)
		buf_add_str(out, "  cflags");
	for (size_t i = 0; i < u->flag_count; i++)
		add_word(cli, out, u->flags[i]);
	buf_add_str(out, u->flag_count ? "\n" : "");
}

static void add_shipped(const struct cli *cli, struct buf *out,
			const struct cashet_shipped *s, bool is_call)
{
	for (size_t i = 0; s && i < s->unit_count; i++)
		add_unit(cli, out, &s->units[i], is_call);
	for (size_t i = 0; s && i < s->file_count; i++) {
		buf_add_str(out, "  file   ");
		show_text(cli, out, s->files[i].path);
		buf_add_str(out, "  ");
		add_hex(out, s->files[i].digest);
		buf_add_byte(out, '\n');
	}
	if (!s && is_call)
		buf_add_str(out, "  its files are not in the store any more\n");
}

/* Is it told as a script already? */
static bool is_unit(const struct cashet_shipped *s, const struct cashet_function_code *c)
{
	for (size_t i = 0; s && i < s->unit_count; i++)
		if (!strcmp(s->units[i].path, c->path) &&
		    !memcmp(s->units[i].identity, c->digest, sizeof c->digest))
			return true;
	return false;
}

void show_source(const struct cli *cli, struct buf *out, const struct cashet_function *f,
		 const struct cashet_shipped *s)
{
	buf_add_str(out, "Source:\n");
	if (!f) {
		buf_add_str(out, "  not in the store any more\n");
		return;
	}
	if (!f->language)
		buf_add_str(out, f->shell ? "  shell  " : "  run   ");
	if (f->shell)
		show_text(cli, out, f->shell);
	for (size_t i = 0; i < f->argc; i++)
		add_word(cli, out, f->argv[i]);
	buf_add_str(out, f->language ? "" : "\n");
	add_shipped(cli, out, s, f->language);
	if (f->version) {
		buf_add_str(out, "  python ");
		show_text(cli, out, f->version);
		buf_add_byte(out, '\n');
	}
	for (size_t i = 0; i < f->env_count; i++) {
		buf_add_str(out, "  env    ");
		show_text(cli, out, f->env[i].key);
		buf_add_byte(out, '=');
		show_text(cli, out, f->env[i].value);
		buf_add_byte(out, '\n');
	}
	for (size_t i = 0; i < f->code_count; i++) {
		if (is_unit(s, &f->code[i]))
			continue;
		buf_add_str(out, "  code   ");
		show_text(cli, out, f->code[i].path);
		buf_add_str(out, "  ");
		add_hex(out, f->code[i].digest);
		buf_add_byte(out, '\n');
	}
	if (f->salt) {
		buf_add_str(out, "  salt   ");
		show_text(cli, out, f->salt);
		buf_add_byte(out, '\n');
	}
}

/* ---- JSON ---- */

static void json_pairs(struct json *j, const char *key, const struct cashet_pair *pairs,
		       size_t count)
{
	json_key(j, key);
	json_object(j);
	for (size_t i = 0; i < count; i++) {
		json_key(j, pairs[i].key);
		json_string(j, pairs[i].value);
	}
	json_end_object(j);
}

static void json_text_or_null(struct json *j, const char *key, const char *text)
{
	json_key(j, key);
	if (text)
		json_string(j, text);
	else
		json_null(j);
}

static void json_unit(struct json *j, const struct cashet_source_unit *u)
{
	json_object(j);
	json_key(j, "language");
	json_string(j, u->language);
	json_key(j, "path");
	json_string(j, u->path);
	json_text_or_null(j, "name", u->name);
	json_text_or_null(j, "file", u->file);
	json_key(j, "line");
	json_uint(j, u->line);
	json_hash(j, "hash", true, u->hash);
	json_hash(j, "identity", true, u->identity);
	json_key(j, "packages");
	json_array(j);
	for (size_t i = 0; i < u->package_count; i++) {
		json_object(j);
		json_key(j, "name");
		json_string(j, u->packages[i].name);
		json_text_or_null(j, "version", u->packages[i].version);
		json_key(j, "counts");
		json_bool(j, u->packages[i].counts);
		json_end_object(j);
	}
	json_end_array(j);
	json_key(j, "flags");
	json_array(j);
	for (size_t i = 0; i < u->flag_count; i++)
		json_string(j, u->flags[i]);
	json_end_array(j);
	json_end_object(j);
}

static void json_code(struct json *j, const struct cashet_function_code *code,
		      size_t count)
{
	json_array(j);
	for (size_t i = 0; i < count; i++) {
		json_object(j);
		json_key(j, "path");
		json_string(j, code[i].path);
		json_key(j, "executable");
		json_bool(j, code[i].executable);
		json_hash(j, "digest", true, code[i].digest);
		json_end_object(j);
	}
	json_end_array(j);
}

void json_source(struct json *j, const struct cashet_shipped *s)
{
	json_key(j, "source");
	if (!s) {
		json_null(j);
		return;
	}
	json_object(j);
	json_hash(j, "digest", true, s->digest);
	json_key(j, "files");
	json_code(j, s->files, s->file_count);
	json_key(j, "units");
	json_array(j);
	for (size_t i = 0; i < s->unit_count; i++)
		json_unit(j, &s->units[i]);
	json_end_array(j);
	json_end_object(j);
}

void json_function(struct json *j, const struct cashet_function *f)
{
	json_key(j, "function");
	if (!f) {
		json_null(j);
		return;
	}
	json_object(j);
	json_key(j, "argv");
	if (f->shell || f->language) {
		json_null(j);
	} else {
		json_array(j);
		for (size_t i = 0; i < f->argc; i++)
			json_string(j, f->argv[i]);
		json_end_array(j);
	}
	json_text_or_null(j, "shell", f->shell);
	json_pairs(j, "env", f->env, f->env_count);
	json_pairs(j, "outputs", f->outputs, f->output_count);
	json_key(j, "code");
	json_code(j, f->code, f->code_count);
	json_text_or_null(j, "metrics", f->metrics);
	json_text_or_null(j, "salt", f->salt);
	json_text_or_null(j, "language", f->language);
	json_text_or_null(j, "version", f->version);
	json_end_object(j);
}
