/* cmd_pin.c - pin, unpin, pins. */
#include "client/cli/cli.h"
#include "client/cli/fields.h"

static int say(struct cli *cli, const char *name, bool pinned)
{
	CLEANUP_BUF struct buf out = {0};
	struct json j;
	if (!cli->settings.json)
		return 0;
	json_begin(&j, &out);
	field_text(&j, "name", name);
	field_flag(&j, "pinned", pinned);
	return json_finish(cli, &j);
}

int cmd_pin(struct cli *cli)
{
	struct cashet_error e;
	const char *name = cli->settings.pin_name;
	if (!name)
		return cli_usage(cli, "add --name NAME", "a pin needs a name");
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cashet_pin(cli->c, cli->words.items[0], name, &e))
		return cli_fail(cli, &e);
	return say(cli, name, true);
}

int cmd_unpin(struct cli *cli)
{
	struct cashet_error e;
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	if (cashet_unpin(cli->c, cli->words.items[0], &e))
		return cli_fail(cli, &e);
	return say(cli, cli->words.items[0], false);
}

struct listing {
	bool is_json;
	struct json json;
	struct table table;
	unsigned count;
};

static int list_pin(void *arg, const struct cashet_pin *p)
{
	struct listing *l = arg;
	l->count++;
	if (l->is_json) {
		json_object(&l->json);
		field_text(&l->json, "name", p->name);
		json_hash(&l->json, "commit", true, p->commit);
		field_number(&l->json, "pinned_ms", p->pinned_wall_ms);
		field_flag(&l->json, "gone", p->gone);
		json_end_object(&l->json);
		return 0;
	}
	CLEANUP_BUF struct buf ago = {0};
	char hash[SHORT_HASH + 1];
	show_short(hash, p->commit);
	show_ago(&ago, p->pinned_wall_ms);
	table_cell(&l->table, p->name);
	table_cell(&l->table, hash);
	table_cell(&l->table, buf_cstr(&ago));
	table_cell(&l->table, p->gone ? "gone" : "");
	return 0;
}

int cmd_pins(struct cli *cli)
{
	static const char *const heads[] = {"name", "commit", "pinned", ""};
	struct listing l = {.is_json = cli->settings.json};
	CLEANUP_BUF struct buf out = {0};
	struct cashet_error e;
	int code = cli_open(cli, true, true);
	if (code)
		return code;
	table_init(&l.table, ARRAY_LEN(heads));
	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		table_cell(&l.table, heads[i]);
	json_begin(&l.json, &out);
	json_key(&l.json, "pins");
	json_array(&l.json);
	if (cashet_pins(cli->c, list_pin, &l, &e)) {
		code = cli_fail(cli, &e);
	} else if (l.is_json) {
		json_end_array(&l.json);
		code = json_finish(cli, &l.json);
	} else if (l.count) {
		buf_reset(&out);
		table_render(&l.table, &out, cli->color_out);
		code = cli_write(cli, &out);
	} else {
		cli_note(cli, "no pins; to make one: cashet pin COMMIT --name NAME");
	}
	table_fini(&l.table);
	return code;
}
