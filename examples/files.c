/* files - writes from memory and from a FILE, lists, reads back, asks about,
   renames and removes. Everything streams: no file is ever whole in memory. */
#define SANDBOX_IMPLEMENTATION
#include "sandbox.h"
#include <stdio.h>

static int print_entry(void *ctx, const sbx_file_info *info)
{
    (void)ctx;
    printf("  %s %6ld %s\n", info->permissions ? info->permissions : "?",
        (long)info->size, info->path);
    return SBX_OK;
}

/* Each step runs only if all before it went well. */
static int work(sbx_sandbox *box, FILE *local)
{
    static const char poem[] = "The wind is blowing.\nThe sky is blue.\n";
    sbx_files_options deep = {0};
    sbx_file_info *info = NULL;
    char copy[sizeof poem];
    sbx_memory memory = {0};
    bool there = true;
    int status = sbx_files_write_bytes(box, "example/poem.txt", poem, sizeof poem - 1,
        NULL, &info, NULL);
    if (status == SBX_OK) printf("wrote %s\n", info->path);
    sbx_free(info);

    if (status == SBX_OK)
        status = sbx_files_write(box, "example/sub/local.txt", sbx_source_file(local), NULL,
            NULL, NULL);

    deep.depth = 2;
    if (status == SBX_OK)
        status = sbx_files_list(box, "example", &deep, print_entry, NULL, NULL);

    memory.data = copy;
    memory.cap = sizeof copy;
    if (status == SBX_OK)
        status = sbx_files_read(box, "example/poem.txt", NULL, sbx_sink_memory(&memory), NULL);
    if (status == SBX_OK)
        printf("read %lu bytes back: %s\n", (unsigned long)memory.len,
            memory.len == sizeof poem - 1 && memcmp(copy, poem, memory.len) == 0
                ? "the same" : "DIFFERENT");
    if (status == SBX_OK)
        status = sbx_files_read(box, "example/sub/local.txt", NULL, sbx_sink_file(stdout), NULL);

    if (status == SBX_OK)
        status = sbx_files_rename(box, "example/poem.txt", "example/old.txt", NULL, NULL, NULL);
    if (status == SBX_OK)
        status = sbx_files_stat(box, "example/old.txt", NULL, &info, NULL);
    if (status == SBX_OK) {
        printf("%s: %ld bytes of %s\n", info->name, (long)info->size, info->owner);
        sbx_free(info);
    }
    if (status == SBX_OK) status = sbx_files_remove(box, "example", NULL, NULL);
    if (status == SBX_OK) status = sbx_files_exists(box, "example", NULL, &there, NULL);
    if (status == SBX_OK) printf("afterwards it is %s\n", there ? "STILL THERE" : "gone");
    return status;
}

int main(void)
{
    sbx_client *client;
    sbx_sandbox *box;
    sbx_error error;
    sbx_config config = {0};
    FILE *local = tmpfile();
    int status = SBX_E_SOURCE;
    config.error = &error;
    if (!local || fputs("written from a FILE\n", local) < 0 || fseek(local, 0, SEEK_SET) != 0) {
        perror("temporary file");
        return 1;
    }
    if (sbx_open(&client, &config) != SBX_OK) {
        fprintf(stderr, "%s\n", error.message);
        fclose(local);
        return 1;
    }
    status = sbx_sandbox_create(client, NULL, &box, NULL);
    if (status == SBX_OK) {
        status = work(box, local);
        if (status != SBX_OK) fprintf(stderr, "files: %s\n", sbx_client_error(client)->message);
        sbx_sandbox_kill(box, NULL, NULL);
        sbx_sandbox_release(box);
    } else {
        fprintf(stderr, "create: %s\n", sbx_client_error(client)->message);
    }
    sbx_close(client);
    fclose(local);
    return status != SBX_OK;
}
