/* tessera devices: what OpenCL offers here, and which device a plain command would take. */
#include "cli/args.h"
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

static const char *type_name(cl_device_type type) {
    if (type & CL_DEVICE_TYPE_GPU) return "GPU";
    if (type & CL_DEVICE_TYPE_ACCELERATOR) return "accelerator";
    if (type & CL_DEVICE_TYPE_CPU) return "CPU";
    return "custom";
}

static void print_device(const tess_device_info *d, bool chosen) {
    char memory[CLI_COUNT_SIZE], local[CLI_COUNT_SIZE], allocation[CLI_COUNT_SIZE];
    printf("%c %u:%u  %s\n", chosen ? '*' : ' ', d->platform_index, d->device_index, d->name);
    printf("       type          %s, %u compute units at %u MHz\n", type_name(d->type),
           d->compute_units, d->clock_mhz);
    printf("       platform      %s, driver %s\n", d->platform_name, d->driver_version);
    printf("       versions      %s; %s\n", d->opencl_version, d->opencl_c_version);
    printf("       memory        %s (at most %s in one buffer)\n",
           cli_bytes((double)d->global_memory, memory),
           cli_bytes((double)d->max_allocation, allocation));
    printf("       local memory  %s%s\n", cli_bytes((double)d->local_memory, local),
           d->local_memory_dedicated ? "" : " (ordinary memory)");
    printf("       work-group    at most %zu work-items, native float vector %u\n",
           d->max_work_group, d->native_float_vector);
    printf("       capabilities  fp16 %s, fp64 %s, sub-groups %s, memory shared with the host %s\n",
           d->has_fp16 ? "yes" : "no", d->has_fp64 ? "yes" : "no", d->max_sub_groups ? "yes" : "no",
           d->unified_memory ? "yes" : "no");
    if (!d->compiler_available) printf("       unusable      it has no OpenCL C compiler\n");
    if (!d->available) printf("       unusable      it is not available at the moment\n");
}

json_t *device_json(const tess_device_info *d, bool chosen) {
    char index[32];
    snprintf(index, sizeof index, "%u:%u", d->platform_index, d->device_index);
    return json_pack(
        "{s:s, s:b, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:I, s:I, s:I,"
        " s:b, s:b, s:b, s:b, s:b}",
        "index", index, "chosen", chosen, "name", d->name, "platform", d->platform_name, "vendor",
        d->vendor, "type", type_name(d->type), "driver", d->driver_version, "opencl",
        d->opencl_version, "opencl_c", d->opencl_c_version, "compute_units",
        (json_int_t)d->compute_units, "clock_mhz", (json_int_t)d->clock_mhz, "global_memory",
        (json_int_t)d->global_memory, "max_allocation", (json_int_t)d->max_allocation,
        "local_memory", (json_int_t)d->local_memory, "local_memory_dedicated",
        d->local_memory_dedicated, "max_work_group", (json_int_t)d->max_work_group,
        "native_float_vector", (json_int_t)d->native_float_vector, "max_sub_groups",
        (json_int_t)d->max_sub_groups, "fp16", d->has_fp16, "fp64", d->has_fp64, "unified_memory",
        d->unified_memory, "compiler_available", d->compiler_available, "available", d->available);
}

static int print_all(const struct cli *cli, const tess_device_info *list, size_t count, bool json) {
    tess_device_info chosen;
    tess_error error = {0};
    if (tess_device_find(cli->device, &error, &chosen)) return cli_fail("%s", error.text);
    for (size_t i = 0; i < count; i++) {
        bool is_chosen = list[i].device == chosen.device;
        if (json) {
            int status = cli_print_json(device_json(&list[i], is_chosen));
            if (status) return status;
        } else {
            print_device(&list[i], is_chosen);
        }
    }
    if (!json)
        printf("\n* is what commands use%s; choose another with 'tessera --device SPEC ...' or "
               "TESSERA_DEVICE.\n",
               cli->device ? " with this --device" : "");
    return EXIT_DONE;
}

int cmd_devices(const struct cli *cli, int argc, char **argv) {
    bool json = false;
    struct arg list[] = {
        {"json", ARG_FLAG, &json, NULL, "JSON Lines, one device a line", 0, 0, false},
        {0},
    };
    struct arg_table table = {
        .command = "devices",
        .usage = "[--json]",
        .about = "Lists the OpenCL devices; * marks the one that commands use.",
        .list = list,
    };
    int words;
    int status = args_parse(&table, argc, argv, &words);
    if (status != ARGS_CONTINUE) return status;
    tess_error error = {0};
    tess_device_info *devices = NULL;
    size_t count = 0;
    if (tess_device_list(&error, &devices, &count)) return cli_fail("%s", error.text);
    status = print_all(cli, devices, count, json);
    tess_device_list_free(devices);
    return status;
}
