/* Between dataset.c and the readers of each kind of data set. */
#ifndef TESSERA_TRAIN_DATASET_OPEN_H
#define TESSERA_TRAIN_DATASET_OPEN_H

#include "core/status.h"
#include "train/dataset.h"

/* Each fills a data set that is zero; what it allocated is freed by dataset_destroy, also after a failure. rest is what
   follows the colon of the SPEC; options is not NULL. */
tess_status mnist_open(const char *rest, const struct dataset_options *options, tess_error *error,
                       struct dataset *data);
tess_status cifar10_open(const char *rest, const struct dataset_options *options, tess_error *error,
                         struct dataset *data);
tess_status digits_open(const char *rest, const struct dataset_options *options, tess_error *error,
                        struct dataset *data);

/* "folder/name" + suffix, to be freed; NULL: out of memory. */
char *dataset_path(const char *folder, const char *name, const char *suffix);
bool dataset_file_exists(const char *folder, const char *name, const char *suffix);

/* TESS_OK if path is a folder. */
tess_status dataset_check_folder(const char *path, tess_error *error);

/* TESS_OUT_OF_HOST_MEMORY; name: what was to be read. */
tess_status dataset_no_memory(tess_error *error, const char *name);

#endif
