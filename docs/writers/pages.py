"""The pages by their names in docs/, and what makes each of them."""

from writers import blind_guard, commands, conditions, fields, http_api, metrics, modules

PAGES = {
    "blind-guard.md": blind_guard.render_page,
    "commands.md": commands.render_page,
    "conditions.md": conditions.render_page,
    "fields.md": fields.render_page,
    "http-api.md": http_api.render_page,
    "metrics.md": metrics.render_page,
    "modules.md": modules.render_page,
    "openapi.json": http_api.render_document,
}
