#include "eval/report_page.h"

#include <vector>

#include <spdlog/fmt/fmt.h>

#include "data/dataset_index.h"
#include "eval/report_style.h"
#include "eval/svg_chart.h"

namespace limewash::eval {
namespace {

constexpr size_t kLongestText = 400;

bool is_hex_color(const std::string& text) {
  return text.size() == 7 && text[0] == '#' &&
         text.find_first_not_of("0123456789abcdefABCDEF", 1) == std::string::npos;
}

}  // namespace

std::string shown_text(const std::string& text) {
  const bool longer = text.size() > kLongestText;
  return escape_html(data::valid_utf8(longer ? text.substr(0, kLongestText) : text)) +
         (longer ? "…" : "");
}

std::string shortened(const std::string& text, size_t characters) {
  const std::string valid = data::valid_utf8(text);
  std::vector<size_t> starts;
  for (size_t i = 0; i < valid.size(); ++i) {
    if ((static_cast<unsigned char>(valid[i]) & 0xC0) != 0x80) starts.push_back(i);
  }
  if (starts.size() <= characters || characters < 3) return valid;
  const size_t head = characters / 2, tail = characters - head - 1;
  return valid.substr(0, starts[head]) + "…" + valid.substr(starts[starts.size() - tail]);
}

std::string shown_short(const std::string& text, size_t characters) {
  const std::string brief = shortened(text, characters);
  if (brief == text) return escape_html(text);
  return fmt::format("<span title='{}'>{}</span>", shown_text(text), escape_html(brief));
}

std::string tile(const std::string& value, const std::string& name) {
  return fmt::format(
      "<div class='tile'><div class='value'>{}</div><div class='name'>{}</div></div>\n",
      value,
      name);
}

std::string color_chip(const std::string& color) {
  if (!is_hex_color(color)) return shown_text(color);
  return fmt::format("<span class='chip' style='background:{0}'></span>{0}", color);
}

std::string report_page(const std::string& title,
                        const std::string& body,
                        const std::string& more_style) {
  return "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
         "<meta name='viewport' content='width=device-width, initial-scale=1'><title>" +
         shown_text(title) + " – limewash</title>\n<style>" + kReportStyle + more_style +
         "</style></head>\n<body><main>\n" + body + "</main></body></html>\n";
}

}  // namespace limewash::eval
