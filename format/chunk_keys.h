/* Metadata keys and names of Rerun's chunks (SPEC "Chunk"). */
#ifndef RK_FORMAT_CHUNK_KEYS_H
#define RK_FORMAT_CHUNK_KEYS_H

#define RK_KEY_SORBET_VERSION "sorbet:version"
#define RK_SORBET_VERSION     "0.1.3"

#define RK_KEY_CHUNK_ID           "rerun:id"
#define RK_KEY_ENTITY_PATH        "rerun:entity_path"
#define RK_KEY_KIND               "rerun:kind"
#define RK_KEY_INDEX_NAME         "rerun:index_name"
#define RK_KEY_COMPONENT          "rerun:component"
#define RK_KEY_ARCHETYPE          "rerun:archetype"
#define RK_KEY_COMPONENT_TYPE     "rerun:component_type"
#define RK_KEY_IS_SORTED          "rerun:is_sorted"
#define RK_KEY_EXTENSION_NAME     "ARROW:extension:name"
#define RK_KEY_EXTENSION_METADATA "ARROW:extension:metadata"

#define RK_KIND_CONTROL "control"
#define RK_KIND_INDEX   "index"
#define RK_KIND_DATA    "data"

#define RK_ROW_ID_NAME               "rerun.controls.RowId"
#define RK_ROW_ID_EXTENSION          "rerun.datatypes.TUID"
#define RK_ROW_ID_EXTENSION_METADATA "{\"namespace\":\"row\"}"

#define RK_CHUNK_ID_PREFIX "chunk_"

#endif
