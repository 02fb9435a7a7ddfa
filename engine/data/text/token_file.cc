#include "engine/data/text/token_file.h"

#define XXH_INLINE_ALL
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "engine/base/files/files.h"
#include "engine/base/files/sha256.h"
#include "engine/data/text/id_writer.h"
#include "engine/data/text/text_file.h"

namespace lanthorn::data {
namespace {

constexpr char kMagic[8] = {'L', 'T', 'H', 'N', 'T', 'O', 'K', '1'};
constexpr size_t kPiece = size_t{1} << 20;

struct Header {
  char magic[8];
  uint32_t kind, newlines;
  uint64_t width, count, marks, tokens, text_bytes;
  char sha256[64];
  uint64_t checksum;
};
static_assert(sizeof(Header) == 128);

uint64_t Checksum(Header header, const char* file, size_t size) {
  header.checksum = 0;
  XXH3_state_t state;
  XXH3_64bits_reset(&state);
  XXH3_64bits_update(&state, file + sizeof(Header), size - sizeof(Header));
  XXH3_64bits_update(&state, &header, sizeof(Header));
  return XXH3_64bits_digest(&state);
}

uint64_t Padded(uint64_t bytes) { return (bytes + 7) / 8 * 8; }

// What the first reading of a whole text finds out besides its tokens.
struct FirstReading {
  Sha256 hash;
  TextInspector inspector;
};

// Calls take(bytes, size, last) -> StatusOr<size_t> with the text from byte `begin` to `end`, with what was not taken
// before it; a first reading, if any, gets all bytes, and where both refuse the text, its message is the one that is
// given.
template <typename Take>
absl::Status ForPieces(const std::string& path, int64_t begin, int64_t end, FirstReading* first, const Take& take) {
  LANTHORN_ASSIGN_OR_RETURN(const FileDescriptor fd, OpenForReading(path));
  std::vector<char> buffer(kPiece);
  size_t held = 0;
  while (true) {
    if (held == buffer.size()) buffer.resize(2 * buffer.size());
    const size_t wanted = std::min(static_cast<size_t>(std::max<int64_t>(end - begin, 0)), buffer.size() - held);
    ssize_t got = 0;
    do {
      got = wanted == 0 ? 0 : pread(fd.get(), buffer.data() + held, wanted, begin);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return DataError(ErrnoMessage(path, "cannot read", errno));
    if (first != nullptr) {
      first->hash.Update(buffer.data() + held, static_cast<size_t>(got));
      LANTHORN_RETURN_IF_ERROR(first->inspector.Take(buffer.data() + held, static_cast<size_t>(got)));
      if (got == 0) LANTHORN_RETURN_IF_ERROR(first->inspector.Finish());
    }
    begin += got;
    held += static_cast<size_t>(got);
    const absl::StatusOr<size_t> taken = take(buffer.data(), held, got == 0);
    if (!taken.ok()) {
      if (first != nullptr) LANTHORN_RETURN_IF_ERROR(first->inspector.CheckEncoding());
      return taken.status();
    }
    if (got == 0) return absl::OkStatus();
    held -= *taken;
    std::memmove(buffer.data(), buffer.data() + *taken, held);
  }
}

absl::StatusOr<int64_t> SizeOf(const std::string& path) {
  LANTHORN_ASSIGN_OR_RETURN(const FileDescriptor fd, OpenForReading(path));
  struct stat info;
  if (fstat(fd.get(), &info) != 0) return DataError(ErrnoMessage(path, "cannot read", errno));
  return static_cast<int64_t>(info.st_size);
}

}  // namespace

// A whole file in memory for as long as somebody reads it.
struct TokenFile::Mapping {
  Mapping(void* begin, size_t size) : begin(begin), size(size) {}
  ~Mapping() { munmap(begin, size); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  const char* data() const { return static_cast<const char*>(begin); }

  static std::shared_ptr<const Mapping> Of(int fd) {
    struct stat info;
    if (fstat(fd, &info) != 0 || info.st_size == 0) return nullptr;
    const size_t size = static_cast<size_t>(info.st_size);
    void* const begin = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    return begin == MAP_FAILED ? nullptr : std::make_shared<const Mapping>(begin, size);
  }

  void* const begin;
  const size_t size;
};

// Makes a TokenFile, from a kept file or from the text.
class TokenFileMaker {
 public:
  TokenFileMaker(const std::string& path, const TokenFileOptions& options) : made_(std::make_shared<TokenFile>()) {
    made_->path_ = path;
    made_->options_ = options;
  }

  absl::StatusOr<std::shared_ptr<const TokenFile>> Make() {
    const TokenFileOptions& options = made_->options_;
    LANTHORN_ASSIGN_OR_RETURN(const int64_t bytes, SizeOf(made_->path_));
    const bool keep = options.keep_from_bytes >= 0 && bytes >= options.keep_from_bytes;
    const std::string suffix = absl::StrCat(options.kind == TokenKind::kWords ? ".words" : ".characters",
                                            options.newlines == Newlines::kLf ? ".lf" : "", ".tokens");
    std::vector<std::string> places;
    if (keep) places.push_back(made_->path_ + suffix);
    if (keep && !options.other_folder.empty()) {
      const std::string whole = absl::StrCat(FolderAndName(made_->path_));
      places.push_back(absl::StrCat(options.other_folder, "/", Sha256Hex(whole).substr(0, 16), suffix));
    }
    for (const std::string& place : places) {
      LANTHORN_ASSIGN_OR_RETURN(const bool found, Load(place, bytes));
      if (found) return made_;
    }
    for (const std::string& place : places) {
      if (place != places.front() && !EnsureDirectory(options.other_folder).ok()) continue;
      IdWriter writer = IdWriter::InFile(place);
      if (!writer.status().ok()) continue;
      LANTHORN_RETURN_IF_ERROR(Scan(&writer, bytes));
      if (absl::Status kept = Commit(&writer); kept.ok()) {
        made_->kept_in_ = place;
        if (made_->note_.empty())
          made_->note_ = absl::StrFormat("'%s' written; the next run reads it instead of the text", place);
        return made_;
      } else if (made_->mapping_ == nullptr) {
        made_->note_ = MessageOf(kept);
      }
    }
    if (keep && made_->note_.empty())
      made_->note_ = absl::StrFormat("not kept: '%s' cannot be written", places.front());
    IdWriter writer = IdWriter::InMemory();
    LANTHORN_RETURN_IF_ERROR(writer.status());
    LANTHORN_RETURN_IF_ERROR(Scan(&writer, bytes));
    LANTHORN_RETURN_IF_ERROR(Commit(&writer));
    return made_;
  }

 private:
  // The path without links, so that two names of a file share what is kept of it.
  static std::string FolderAndName(const std::string& path) {
    char* const real = realpath(path.c_str(), nullptr);
    const std::string whole = real == nullptr ? path : real;
    free(real);
    return whole;
  }

  absl::Status CheckExpected(const std::string& sha256) const {
    const std::string& expected = made_->options_.expected_sha256;
    if (expected.empty() || expected == sha256) return absl::OkStatus();
    return DataError(
        absl::StrFormat("'%s' is not the file that was pinned: sha256 %s, expected %s; remove or replace it",
                        made_->path_, sha256, expected));
  }

  // Refuses carriage returns that nobody asked for (in words they are white space), and says what else there is.
  absl::Status TakeFindings(const TextFindings& findings) {
    const TokenFileOptions& options = made_->options_;
    made_->text_note_ = NoteOf(findings);
    if (options.kind == TokenKind::kWords) return absl::OkStatus();
    if (!options.newlines_option_of.empty())
      LANTHORN_RETURN_IF_ERROR(RefuseCarriageReturns(findings, options.newlines_option_of));
    const std::string returns = DescribeCarriageReturns(findings);
    if (returns.empty()) return absl::OkStatus();
    absl::StrAppend(&made_->text_note_, made_->text_note_.empty() ? "" : "; ", returns,
                    options.newlines == Newlines::kLf ? ", read as LF" : "; carriage returns are characters of it");
    return absl::OkStatus();
  }

  // Takes a kept file; false when there is none of this text.
  absl::StatusOr<bool> Load(const std::string& place, int64_t bytes) {
    const FileDescriptor fd(open(place.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid()) return false;
    Header header;
    const auto mapping = TokenFile::Mapping::Of(fd.get());
    const auto damaged = [&](const char* what) {
      made_->note_ = absl::StrFormat("'%s' was %s and is rebuilt", place, what);
      return false;
    };
    if (mapping == nullptr || mapping->size < sizeof header) return damaged("cut short");
    std::memcpy(&header, mapping->data(), sizeof header);
    const TokenFileOptions& options = made_->options_;
    if (std::memcmp(header.magic, kMagic, sizeof kMagic) != 0 || header.kind != static_cast<uint32_t>(options.kind) ||
        header.newlines != static_cast<uint32_t>(options.newlines)) {
      return damaged("of another version");
    }
    if (header.text_bytes != static_cast<uint64_t>(bytes)) return damaged("of another text");
    if (header.checksum != Checksum(header, mapping->data(), mapping->size)) return damaged("damaged");
    FirstReading first;
    LANTHORN_RETURN_IF_ERROR(ForPieces(made_->path_, 0, std::numeric_limits<int64_t>::max(), &first,
                                       [](const char*, size_t size, bool) -> absl::StatusOr<size_t> { return size; }));
    const std::string sha256 = first.hash.Hex();
    LANTHORN_RETURN_IF_ERROR(CheckExpected(sha256));
    LANTHORN_RETURN_IF_ERROR(TakeFindings(first.inspector.findings()));
    if (std::string(header.sha256, sizeof header.sha256) != sha256) return damaged("of another text");
    Attach(mapping, header);
    made_->kept_in_ = place;
    made_->note_.clear();  // of a place before this one
    return true;
  }

  // Reads what a file says whose checksum is right.
  void Attach(std::shared_ptr<const TokenFile::Mapping> mapping, const Header& header) {
    const uint64_t id_bytes = Padded(header.width * header.count);
    const char* at = mapping->data() + sizeof header + id_bytes;
    made_->marks_.resize(header.marks);
    if (header.marks > 0) std::memcpy(made_->marks_.data(), at, header.marks * sizeof(int64_t));
    at += header.marks * sizeof(int64_t);
    made_->tokens_.clear();
    for (uint64_t i = 0; i < header.tokens; ++i) {
      uint32_t length = 0;
      std::memcpy(&length, at, sizeof length);
      made_->tokens_.emplace_back(at + sizeof length, length);
      at += sizeof length + length;
    }
    made_->sha256_ = std::string(header.sha256, sizeof header.sha256);
    made_->text_bytes_ = static_cast<int64_t>(header.text_bytes);
    made_->ids_ = TokenIds(std::shared_ptr<const void>(mapping, mapping->data() + sizeof header),
                           static_cast<int>(header.width), static_cast<int64_t>(header.count));
    made_->mapping_ = std::move(mapping);
  }

  // Numbers the text into the writer, behind room for the header; failures of the writer are in its status alone.
  absl::Status Scan(IdWriter* writer, int64_t bytes) {
    const TokenFileOptions& options = made_->options_;
    scanner_ = TokenScanner::Make(options.kind, options.newlines);
    writer->Reserve(sizeof(Header));
    FirstReading first;
    LANTHORN_RETURN_IF_ERROR(ForPieces(made_->path_, 0, std::numeric_limits<int64_t>::max(), &first,
                                       [&](const char* piece, size_t size, bool last) -> absl::StatusOr<size_t> {
                                         LANTHORN_ASSIGN_OR_RETURN(const size_t taken,
                                                                   scanner_->Take(piece, size, last));
                                         writer->Append(scanner_->numbers());
                                         scanner_->numbers().clear();
                                         return taken;
                                       }));
    made_->sha256_ = first.hash.Hex();
    LANTHORN_RETURN_IF_ERROR(CheckExpected(made_->sha256_));
    LANTHORN_RETURN_IF_ERROR(TakeFindings(first.inspector.findings()));
    LANTHORN_ASSIGN_OR_RETURN(const int64_t now, SizeOf(made_->path_));
    if (now != bytes) return DataError(absl::StrFormat("'%s' changed while it was read", made_->path_));
    made_->text_bytes_ = bytes;
    return absl::OkStatus();
  }

  // Completes and maps the file, and gives it its name.
  absl::Status Commit(IdWriter* writer) {
    Header header = {};
    std::memcpy(header.magic, kMagic, sizeof kMagic);
    header.kind = static_cast<uint32_t>(made_->options_.kind);
    header.newlines = static_cast<uint32_t>(made_->options_.newlines);
    header.width = static_cast<uint64_t>(writer->width());
    header.count = static_cast<uint64_t>(writer->count());
    header.marks = scanner_->marks().size();
    header.tokens = scanner_->tokens().size();
    header.text_bytes = static_cast<uint64_t>(made_->text_bytes_);
    std::memcpy(header.sha256, made_->sha256_.data(), sizeof header.sha256);
    std::string tail(Padded(header.width * header.count) - header.width * header.count, '\0');
    tail.append(reinterpret_cast<const char*>(scanner_->marks().data()), header.marks * sizeof(int64_t));
    for (const std::string& token : scanner_->tokens()) {
      const uint32_t length = static_cast<uint32_t>(token.size());
      tail.append(reinterpret_cast<const char*>(&length), sizeof length);
      tail += token;
    }
    scanner_.reset();
    writer->AppendBytes(tail);
    LANTHORN_RETURN_IF_ERROR(writer->status());
    const auto mapping = TokenFile::Mapping::Of(writer->fd());
    if (mapping == nullptr) return MachineError(ErrnoMessage(made_->path_, "cannot map its tokens", errno));
    header.checksum = Checksum(header, mapping->data(), mapping->size);
    writer->WriteHeader(&header, sizeof header);
    LANTHORN_RETURN_IF_ERROR(writer->Publish());
    Attach(mapping, header);
    made_->Forget();
    return absl::OkStatus();
  }

  std::shared_ptr<TokenFile> made_;
  std::unique_ptr<TokenScanner> scanner_;
};

absl::StatusOr<std::shared_ptr<const TokenFile>> TokenFile::Open(const std::string& path,
                                                                 const TokenFileOptions& options) {
  return TokenFileMaker(path, options).Make();
}

absl::StatusOr<int64_t> TokenFile::CutAt(int64_t at) const {
  constexpr int64_t kWindow = 4096;
  const auto may_cut = [this](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return options_.kind == TokenKind::kWords ? absl::ascii_isspace(byte) : (byte & 0xC0) != 0x80;
  };
  bool found = false;
  while (!found && at < text_bytes_) {
    const auto look = [&](const char* bytes, size_t size, bool) -> absl::StatusOr<size_t> {
      const char* const cut = found ? bytes : std::find_if(bytes, bytes + size, may_cut);
      at += cut - bytes;
      found = found || cut < bytes + size;
      return size;
    };
    LANTHORN_RETURN_IF_ERROR(ForPieces(path_, at, std::min(at + kWindow, text_bytes_), nullptr, look));
  }
  return std::min(at, text_bytes_);
}

absl::StatusOr<int64_t> TokenFile::TokensBefore(int64_t byte) const {
  const auto mark = std::upper_bound(marks_.begin(), marks_.end(), byte - 1);
  if (mark == marks_.begin()) return 0;
  const int64_t before = mark - marks_.begin() - 1, from = *(mark - 1);
  const auto scanner = TokenScanner::Make(options_.kind, options_.newlines, from);
  LANTHORN_RETURN_IF_ERROR(
      ForPieces(path_, from, std::min(byte, text_bytes_), nullptr,
                [&](const char* bytes, size_t size, bool last) { return scanner->Take(bytes, size, last); }));
  return before * TokenScanner::kMarkEvery + static_cast<int64_t>(scanner->numbers().size());
}

void TokenFile::Forget() const { madvise(mapping_->begin, mapping_->size, MADV_DONTNEED); }

}  // namespace lanthorn::data
