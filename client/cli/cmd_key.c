/* cmd_key.c - key new, trust, ls, revoke: files only, no broker is asked. A running broker reads
 * the trust table again when it changes. */
#include "client/cli/cli.h"

#include "proto/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void json_key_row(struct json *j, const struct key_trust *row, bool with_role)
{
	char public[41];
	key_z85(public, row->public);
	json_key(j, "name");
	json_string(j, row->name);
	json_key(j, "public");
	json_string(j, public);
	if (with_role) {
		json_key(j, "role");
		json_string(j, key_role_name(row->role));
	}
}

static int print_row(struct cli *cli, const struct key_trust *row, bool with_role)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	char public[41];
	if (cli->settings.json) {
		json_begin(&j, &out);
		json_key_row(&j, row, with_role);
		return json_finish(cli, &j);
	}
	key_z85(public, row->public);
	if (with_role)
		buf_printf(&out, "%s  %s  %s\n", public, key_role_name(row->role),
			   row->name);
	else
		buf_printf(&out, "%s\n", public);
	return cli_write(cli, &out);
}

int cmd_key_new(struct cli *cli)
{
	struct key_pair pair;
	struct err e;
	if (key_new(cli->words.items[0], &pair, &e))
		return cli_fail_err(cli, &e);
	struct key_trust row = {0};
	memcpy(row.public, pair.public, KEY_SIZE);
	snprintf(row.name, sizeof row.name, "%s", pair.name);
	memset(pair.secret, 0, sizeof pair.secret);
	int code = print_row(cli, &row, false);
	char public[41];
	key_z85(public, row.public);
	if (code == 0)
		cli_note(cli,
			 "that is its public half; whoever shall know it: cashet key "
			 "trust '%s' "
			 "--role ROLE --name %s",
			 public, row.name);
	return code;
}

int cmd_key_trust(struct cli *cli)
{
	const struct settings *s = &cli->settings;
	const char *word = cli->words.items[0];
	struct key_trust row = {0};
	struct err e;
	if (key_parse_z85(row.public, word))
		return cli_usage(
			cli, "quote it for the shell: '...'",
			"\"%s\" is not a public key: 40 characters, as key new prints",
			word);
	if (!s->role)
		return cli_usage(cli, "--role client, worker, admin, observer or broker",
				 "trust it as what?");
	if (key_role_parse(s->role, &row.role) || row.role == ROLE_NONE)
		return cli_usage(cli, "--role client, worker, admin, observer or broker",
				 "there is no role \"%s\"", s->role);
	/* A broker's row says at which address it is; without --name at any. */
	const char *name = s->name		     ? s->name
			   : row.role == ROLE_BROKER ? "*"
						     : key_role_name(row.role);
	if (strlen(name) >= sizeof row.name)
		return cli_usage(cli, "", "the name is too long");
	snprintf(row.name, sizeof row.name, "%s", name);
	if (key_trust_add(&row, &e))
		return cli_fail_err(cli, &e);
	return cli->settings.json ? print_row(cli, &row, true)
				  : (cli_note(cli, "trusted"), 0);
}

static void list_rows(struct table *t, const struct key_trust *rows, size_t count,
		      bool ours)
{
	for (size_t i = 0; i < count; i++) {
		char public[41];
		key_z85(public, rows[i].public);
		table_cell(t, public);
		table_cell(t, ours ? "ours" : key_role_name(rows[i].role));
		table_cell(t, rows[i].name);
	}
}

static void json_rows(struct json *j, const char *key, const struct key_trust *rows,
		      size_t count, bool with_role)
{
	json_key(j, key);
	json_array(j);
	for (size_t i = 0; i < count; i++) {
		json_object(j);
		json_key_row(j, &rows[i], with_role);
		json_end_object(j);
	}
	json_end_array(j);
}

int cmd_key_ls(struct cli *cli)
{
	struct key_trust *ours = NULL, *trusted = NULL;
	size_t our_count = 0, trusted_count = 0;
	struct err e;
	CLEANUP_BUF struct buf out = {0};
	int code = 0;
	if (key_list(&ours, &our_count, &e))
		return cli_fail_err(cli, &e);
	int bad = key_trust_list(&trusted, &trusted_count,
				 &e); /* the good lines are there too */
	if (bad)
		code = cli_fail_err(cli, &e);
	if (cli->settings.json) {
		struct json j;
		json_begin(&j, &out);
		json_rows(&j, "keys", ours, our_count, false);
		json_rows(&j, "trusted", trusted, trusted_count, true);
		int failed = json_finish(cli, &j);
		code = code ? code : failed;
	} else if (our_count + trusted_count) {
		struct table t;
		table_init(&t, 3);
		table_cell(&t, "public key");
		table_cell(&t, "role");
		table_cell(&t, "name");
		list_rows(&t, ours, our_count, true);
		list_rows(&t, trusted, trusted_count, false);
		table_render(&t, &out, false);
		table_fini(&t);
		int failed = cli_write(cli, &out);
		code = code ? code : failed;
	} else if (!code) {
		cli_note(cli, "no keys yet; to make one: cashet key new NAME");
	}
	free(ours);
	free(trusted);
	return code;
}

/* By public key, or by the only name that is trusted. */
static int find_trusted(struct cli *cli, const char *word, uint8_t public[KEY_SIZE])
{
	struct key_trust *rows = NULL;
	size_t count = 0, found = 0;
	struct err e;
	if (key_parse_z85(public, word) == 0)
		return 0;
	int r = key_trust_list(&rows, &count, &e);
	if (r && r != ERR_USAGE)
		return cli_fail_err(cli, &e);
	CLEANUP_BUF struct buf candidates = {0};
	for (size_t i = 0; i < count; i++) {
		char text[41];
		if (strcmp(rows[i].name, word))
			continue;
		found++;
		memcpy(public, rows[i].public, KEY_SIZE);
		key_z85(text, rows[i].public);
		buf_printf(&candidates, "\n'%s'  %s", text, key_role_name(rows[i].role));
	}
	free(rows);
	if (found == 1)
		return 0;
	if (found)
		err_set(&e, ERR_AMBIGUOUS, "%zu keys are called %s: name one%s", found,
			word, buf_cstr(&candidates));
	else
		err_set(&e, ERR_NOT_FOUND, "no trusted key is called %s", word);
	if (!found)
		err_next(&e, "cashet key ls lists them");
	return cli_fail_err(cli, &e);
}

int cmd_key_revoke(struct cli *cli)
{
	uint8_t public[KEY_SIZE];
	struct err e;
	bool found = false;
	int code = find_trusted(cli, cli->words.items[0], public);
	if (code)
		return code;
	if (key_trust_remove(public, &found, &e))
		return cli_fail_err(cli, &e);
	if (!found) {
		err_set(&e, ERR_NOT_FOUND, "that key is not trusted");
		err_next(&e, "cashet key ls lists those that are");
		return cli_fail_err(cli, &e);
	}
	if (!cli->settings.json) {
		cli_note(cli, "revoked");
		return 0;
	}
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	char text[41];
	key_z85(text, public);
	json_begin(&j, &out);
	json_key(&j, "public");
	json_string(&j, text);
	json_key(&j, "revoked");
	json_bool(&j, true);
	return json_finish(cli, &j);
}
