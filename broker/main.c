/* main.c - cashet-broker. */
#include "broker/broker.h"

#include "common/fs.h"
#include "common/log.h"
#include "version.h"

#include <malloc.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	/* Fixed, so that what a large batch took goes back to the system when it is freed: by
	 * itself malloc() raises this with every large block that it sees. */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	/* About what a stream of blobs has on its way: without it the pages of each piece come from
	 * the system and go back to it, which cost a third of a put. */
	mallopt(M_TOP_PAD, 4 << 20);
	fs_standard_open();
	struct options options;
	struct err e = {0};
	enum options_do what;
	struct broker *b;
	int rc = options_parse(&options, argc, argv, &what, &e);
	if (!rc) {
		switch (what) {
		case OPTIONS_HELP:
			options_help();
			return 0;
		case OPTIONS_VERSION:
			puts("cashet-broker " CASHET_VERSION);
			return 0;
		case OPTIONS_MONITOR:
			rc = options_monitor(argc, argv, &e);
			break;
		case OPTIONS_RUN:
			rc = broker_open(&b, &options, &e);
			break;
		}
	}
	if (rc == BROKER_LOST_RACE)
		return 0; /* clients use the one that won */
	if (rc) {
		err_print(&e, "cashet-broker");
		return rc;
	}
	rc = broker_run(b);
	broker_free(b);
	return rc;
}
