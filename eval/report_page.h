#pragma once
// What the HTML pages share. Each page is one file: no script, no server, nothing from elsewhere.

#include <optional>
#include <string>

namespace limewash::eval {

/// Text of files and folders for a page: valid UTF-8, escaped, not endless.
std::string shown_text(const std::string& text);
/// The same with its middle left out beyond `characters`; the whole stands in its tooltip.
std::string shown_short(const std::string& text, size_t characters);
/// A large value with what it is under it; `value` and `name` are HTML.
std::string tile(const std::string& value, const std::string& name);
/// "#rrggbb" as a coloured square, then its text; other text is shown without a square, so that no
/// file can put anything else into a style.
std::string color_chip(const std::string& color);
/// `text` with its middle left out beyond `characters`, counted as Unicode does; not escaped.
std::string shortened(const std::string& text, size_t characters);
/// The whole page; `title` is text, `body` and `more_style` are HTML and CSS.
std::string report_page(const std::string& title,
                        const std::string& body,
                        const std::string& more_style = "");

}  // namespace limewash::eval
